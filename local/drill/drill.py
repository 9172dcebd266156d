"""One drill: servers, service, customers and faults at once; then healing, quiet, the audit and the verdict.

Guarantees that every process it started has ended when it returns, however it returns. It touches nothing but its own
folder, its own servers, and a database that is marked as a drill's own (`local.drill.mark`).
"""

import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from local.drill import gather, ground, schedule, service, table
from local.drill.accounts import Accounts
from local.drill.chaos import Chaos
from local.drill.counters import Metrics
from local.drill.deliveries import Deliveries
from local.drill.disturbances import Disturbances
from local.drill.options import Options
from local.drill.probes import Probes
from local.drill.progress import Progress
from local.drill.schedule import Kind, Schedule
from local.drill.verdict import judge
from local.errors import LocalError
from local.folder import PROJECT_DIR, Folder, local_dir
from local.program import Program
from local.run_file import CREDENTIALS_FILE

LOOK_EVERY_SECONDS = 0.25
# A slow machine takes longer for the same schedule; then it is cut short, which shows as faults that never landed.
SLOWER_MAX = 4.0
FAULTS_LATE_SECONDS = 120.0
# After the last order was answered. Generous: what is over is said in the table, not here.
QUIET_SECONDS = 300.0
READY_SECONDS = 180.0


@dataclass
class Drill:
    """The parts of one run, each made when its turn comes."""

    options: Options
    progress: Progress
    folder: Folder = field(default_factory=lambda: Folder(local_dir() / "drill"))

    def run(self) -> int:
        """The exit status; raises LocalError when it could not run."""
        with ExitStack() as ending:
            self._take_folder(ending)
            self._prepare(ending)
            self._under_faults()
            self._heal()
            self._ask_all_again()
            self._wait_for_quiet()
            notes = self._after_quiet()
            evidence = gather.evidence(self.sources, wanted=self._wanted)
        verdict = judge(evidence)
        self.progress.say(table.as_text(evidence, verdict))
        if self.options.as_json:
            print(table.as_json(self.schedule, evidence, verdict, notes=notes))
        return verdict.status

    @property
    def schedule(self) -> Schedule:
        return plan(self.options)

    @property
    def _wanted(self) -> int:
        return self.options.orders + (self.options.storm[0] if self.options.storm else 0)

    def _take_folder(self, ending: ExitStack) -> None:
        self.folder.make()
        lock = self.folder.hold()
        if lock is None:
            raise LocalError(f"Another drill already uses {self.folder.path}.")
        ending.enter_context(lock)

    def _prepare(self, ending: ExitStack) -> None:
        own = "Postgres" if not self.options.database_url else "your marked Postgres"
        broker = "RabbitMQ" if self.options.broker == "amqp" else "Valkey"
        self.ground = ground.prepare(
            self.folder, ending, broker=self.options.broker, database_url=self.options.database_url
        )
        self.progress.step(f"{own} and {broker} are up; the database is empty and marked as a drill's own")
        self.service = service.prepare(self.folder, self.ground, ending)
        self.rows = self.service.rows
        self.metrics = Metrics(self.folder.path / "metrics")
        self.accounts = Accounts(self.folder.path / "answers.jsonl")
        self.accounts.path.unlink(missing_ok=True)
        self.service.start(*service.NAMES)
        for name in service.NAMES:
            self.service.stack.wait_until_ready(name, within_seconds=READY_SECONDS)
        self.progress.step(f"migrated, seeded; {len(service.NAMES)} processes are healthy: {', '.join(service.NAMES)}")
        self._arm()

    def _arm(self) -> None:
        self.probes = Probes(self.rows, claim_seconds=service.REMOTE_CLAIM_SECONDS)
        self.disturbances = Disturbances(self.service, self.rows, self.metrics)
        self.deliveries = Deliveries(self.service, self.disturbances, self.rows, self.metrics, self.probes)
        processes, world = self.deliveries, self.disturbances
        self.chaos = Chaos(
            self.schedule,
            {
                Kind.KILL: processes.kill,
                Kind.KILL_ONE: processes.kill_one,
                Kind.FREEZE: processes.freeze,
                Kind.WIPE: processes.wipe,
                Kind.RESTART_BROKER: processes.restart_broker,
                Kind.RESTART_POSTGRES: processes.restart_postgres,
                Kind.END_SESSIONS: processes.end_sessions,
                Kind.LOSE_COMMIT: world.lose_commit,
                Kind.STOP_COMMIT: world.stop_commit,
                Kind.CUT: world.cut,
                Kind.DELAY: world.delay,
                Kind.BLACK_HOLE: world.black_hole,
                Kind.MOOD: world.mood,
                Kind.RING_AGAIN: world.ring_again,
                Kind.REDELIVER: world.redeliver,
                Kind.HOPELESS: world.hopeless,
            },
            may_go_on=lambda: self.service.has_breath,
        )
        self.sources = gather.Sources(
            service=self.service,
            accounts=self.accounts,
            rows=self.rows,
            metrics=self.metrics,
            chaos=self.chaos,
            recoveries=self.probes.all(),
        )

    def _under_faults(self) -> None:
        """Until the customers are answered and the last fault is over."""
        self.progress.step(
            f"seed {self.options.seed}: {self._wanted:,} orders and {len(self.schedule.faults)} faults "
            f"in {self.schedule.seconds:g} s"
        )
        self._tell_time(0.0)
        crowd = self._crowd()
        crowd.start()
        self.chaos.begin()
        gives_up_at = time.monotonic() + SLOWER_MAX * self.schedule.seconds + FAULTS_LATE_SECONDS
        while not self.chaos.is_over and time.monotonic() < gives_up_at:
            self._look()
        self.chaos.end()
        (self.folder.path / "logs" / "faults.log").write_text("\n".join(self.chaos.log) + "\n")
        self._heal_wires()
        while crowd.is_running:
            self._look()
        self._insist_on_log(crowd)

    def _look(self) -> None:
        self.chaos.go_on()
        self._tell_time(self.chaos.elapsed)
        self.service.look()
        self.probes.look()
        if self.progress.is_due:
            self.accounts.read()
            self.progress.show(self._state())
        time.sleep(LOOK_EVERY_SECONDS)

    def _tell_time(self, seconds: float) -> None:
        """In one step, so that a customer never reads half of it."""
        draft = self._clock.with_suffix(".draft")
        draft.write_text(f"{seconds:.2f}")
        draft.replace(self._clock)

    @property
    def _clock(self) -> Path:
        return self.folder.path / "clock"

    def _state(self) -> str:
        try:
            orders = self.rows.orders()
        except psycopg.Error:
            orders = {}
        by_state = " ".join(f"{orders[state]:,} {state}" for state in sorted(orders)) or "Postgres is away"
        return (
            f"{self.accounts.placed:,} of {self._wanted:,} answered · {by_state} · "
            f"faults {sum(self.chaos.landed().values())} landed, {sum(self.chaos.delivered().values())} delivered, "
            f"{len(self.chaos.told)} planned · {self.accounts.retries:,} retries"
        )

    def _crowd(self, *more: str) -> Program:
        options = self.options
        storm = [] if options.storm is None or more else ["--storm", *map(str, options.storm)]
        values = {
            "--port": self.service.stack.web_port,
            "--seed": options.seed,
            "--orders": options.orders,
            "--seconds": f"{options.seconds:g}",
            "--log": self.accounts.path,
            "--clock": self._clock,
            "--credentials": self.folder.path / CREDENTIALS_FILE,
        }
        words = [str(word) for pair in values.items() for word in pair]
        return Program(
            name="crowd",
            command=[sys.executable, "-m", "local.drill.crowd", *words, *storm, *more],
            log=self.folder.path / "logs" / "crowd.log",
            directory=PROJECT_DIR,
        )

    def _insist_on_log(self, crowd: Program) -> None:
        self.accounts.read()
        if crowd.process is None or crowd.process.returncode:
            raise LocalError(f"The customers' process ended in an error; its log is {crowd.log}.")

    def _heal_wires(self) -> None:
        for wire in self.service.wires.all():
            wire.heal()

    def _heal(self) -> None:
        """Nothing is disturbed any more; the drill's own dead letters are taken away."""
        self._heal_wires()
        for name in service.NAMES:
            self.service.thaw(name)
            self.service.start_again(name)
        for name in service.NAMES:
            self.service.stack.wait_until_ready(name, within_seconds=READY_SECONDS)
        for provider in ("payments", "shipping"):
            self.disturbances.set_mood(provider, "ok")
        self.disturbances.take_away_planted()
        self.progress.step("every wire, mood and process is healed")

    def _ask_all_again(self) -> None:
        """Every key once more, long after: the first answer, byte for byte (I2)."""
        crowd = self._crowd("--again")
        crowd.start()
        while crowd.is_running:
            self._look()
        self._insist_on_log(crowd)
        self.progress.step("every customer asked again with the same key")

    def _wait_for_quiet(self) -> None:
        began = time.monotonic()
        while (left := self.rows.not_at_rest()) and time.monotonic() - began < QUIET_SECONDS:
            self._look()
        if left:
            what = ", ".join(f"{count:,} {name}" for name, count in left.items())
            self.progress.step(f"no quiet after {QUIET_SECONDS:g} s: {what}")
        else:
            self.progress.step(f"all is quiet, {time.monotonic() - began:.1f} s later")
        self.probes.look()
        for back in self.deliveries.postgres_back:
            first = self.accounts.first_answer_after(back)
            if first is not None:
                self.probes.postgres.seconds.append(first)

    def _after_quiet(self) -> dict[str, object]:
        for storm in self.accounts.storms:
            self.progress.step(
                f"storm: {storm['keys']:,} keys x {storm['times']}, {storm['answers']:,} answers "
                f"in {storm['seconds']:.1f} s, {storm['cut']:,} connections cut"
            )
        notes: dict[str, object] = {"storms": self.accounts.storms}
        if self.service.revived:
            self.progress.step(f"{self.service.revived} processes had ended by themselves and were started again")
        return notes


def plan(options: Options) -> Schedule:
    return schedule.plan(
        seed=options.seed,
        seconds=options.seconds,
        broker=options.broker,
        owns_postgres=not options.database_url,
    )
