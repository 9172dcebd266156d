"""The wall of P1: pgbench writing what four durable steps cannot do without, with the fewest statements possible.

Per batch of fifty sagas and step: one transaction of one statement that updates the step's rows, writes a journal row
for each and takes its message to the next step. No Python, no broker, no claim, nothing read back.
"""

import re
import subprocess
import sys

from benchmarks.criterion import Limit
from benchmarks.place import OURS, Place
from local.postgres_installation import find

SAGAS = 10_000
BATCH = 50
SECONDS = 8
TABLES = f"""
DROP TABLE IF EXISTS wall_message, wall_journal, wall_step;
CREATE TABLE wall_message (id int PRIMARY KEY, step int NOT NULL, attempts int NOT NULL) WITH (fillfactor = 50);
CREATE TABLE wall_journal (saga int, step int, finished_at timestamptz NOT NULL, PRIMARY KEY (saga, step));
CREATE TABLE wall_step (id int PRIMARY KEY, touched int NOT NULL) WITH (fillfactor = 50);
INSERT INTO wall_message SELECT n, 0, 0 FROM generate_series(0, {SAGAS - 1}) n;
INSERT INTO wall_step SELECT n, 0 FROM generate_series(0, {SAGAS - 1}) n;
"""
# A step of a batch in one statement; a batch is its client's own, so nobody waits for anybody.
STEP = f"""\\set batch random(0, {SAGAS // BATCH - 1})
WITH message AS (
  UPDATE wall_message SET step = step + 1, attempts = attempts + 1
  WHERE id BETWEEN :batch * {BATCH} AND :batch * {BATCH} + {BATCH - 1} RETURNING id, step
), touched AS (
  UPDATE wall_step s SET touched = s.touched + 1 FROM message WHERE s.id = message.id
)
INSERT INTO wall_journal SELECT id, step, now() FROM message ON CONFLICT DO NOTHING;
"""


def fewest_statements(here: Place) -> Limit:
    """Sagas per second of four such transactions each, two clients on the same durable server."""
    with here.connect() as connection:
        connection.execute(TABLES)
    script = here.folder.path / "wall.sql"
    script.write_text(STEP)
    pgbench = find(here.postgres.home).bin / "pgbench"
    command = [str(pgbench), "-n", "-M", "prepared", "-c", "2", "-T", str(SECONDS), "-f", str(script)]
    told = subprocess.run([*command, here.postgres.url(OURS)], capture_output=True, text=True, check=True).stdout
    found = re.search(r"tps = ([0-9.]+)", told)
    if found is None:
        sys.exit(f"pgbench said no rate: {told[-500:]}")
    return Limit(what=f"pgbench, one statement a step, batches of {BATCH}", figure=float(found[1]) * BATCH / 4)
