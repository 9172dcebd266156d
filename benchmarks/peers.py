"""The peers' own environment: what we are compared to is never installed beside us.

Made once under `ORDERS_LOCAL_DIR`/bench/peers from `requirements-peers.txt`, and anew when that changes.
"""

import subprocess
import sys
from pathlib import Path

from local.folder import local_dir

REQUIREMENTS = Path(__file__).parent / "requirements-peers.txt"


def python() -> str:
    """The interpreter of the peers' environment, which is made first if it is not there."""
    folder = local_dir() / "bench" / "peers"
    made_from = folder / REQUIREMENTS.name
    interpreter = folder / "bin" / "python"
    wanted = REQUIREMENTS.read_bytes()
    if not made_from.exists() or made_from.read_bytes() != wanted:
        print(f"Installing the peers into {folder} (once; a minute)", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "-r", str(REQUIREMENTS)], check=True)
        made_from.write_bytes(wanted)
    return str(interpreter)
