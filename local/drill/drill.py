"""One drill: servers, service, customers and faults at once; then healing, quiet, the audit and the verdict.

Guarantees that every process it started has ended when it returns, however it returns. It touches nothing but its own
folder, its own servers, and a database that is marked as a drill's own (`local.drill.mark`).
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass, field

import psycopg

from local.drill import gather, ground, schedule, service, table
from local.drill.accounts import Accounts
from local.drill.backlog import Backlog
from local.drill.chaos import Chaos, Tally
from local.drill.counters import Metrics
from local.drill.customers import Customers
from local.drill.deliveries import Deliveries
from local.drill.disturbances import Disturbances
from local.drill.options import Options
from local.drill.probes import Probes
from local.drill.progress import Progress
from local.drill.schedule import Schedule
from local.drill.verdict import judge
from local.errors import LocalError
from local.folder import Folder, local_dir

LOOK_EVERY_SECONDS = 0.25
# A slow machine takes longer for the same schedule; then it is cut short, which shows as faults that never landed.
SLOWER_MAX = 4.0
FAULTS_LATE_SECONDS = 120.0
OVERTIME_SECONDS = 8.0
# After the last order was answered. Generous: what is over is said in the table, not here.
QUIET_SECONDS = 300.0
READY_SECONDS = 180.0


@dataclass
class Drill:
    """The parts of one run, each made when its turn comes."""

    options: Options
    progress: Progress
    folder: Folder = field(default_factory=lambda: Folder(local_dir() / "drill"))
    notes: dict[str, object] = field(default_factory=dict)

    def run(self) -> int:
        """The exit status; raises LocalError when it could not run."""
        with ExitStack() as ending:
            self._take_folder(ending)
            self._prepare(ending)
            self._under_faults()
            self._one_by_one()
            self._heal()
            self._ask_all_again()
            self._drain_backlog()
            self._wait_for_quiet()
            evidence = gather.evidence(self._sources(), wanted=self._wanted)
        verdict = judge(evidence)
        self.progress.say(table.as_text(evidence, verdict))
        if self.options.as_json:
            print(table.as_json(self.schedule, evidence, verdict, notes=self.notes))
        return verdict.status

    @property
    def _wanted(self) -> int:
        return self.options.orders + (self.options.storm[0] if self.options.storm else 0)

    def _take_folder(self, ending: ExitStack) -> None:
        self.schedule = plan(self.options)
        self.folder.make()
        lock = self.folder.hold()
        if lock is None:
            raise LocalError(f"Another drill already uses {self.folder.path}.")
        ending.enter_context(lock)

    def _prepare(self, ending: ExitStack) -> None:
        options = self.options
        base = ground.prepare(self.folder, ending, broker=options.broker, database_url=options.database_url)
        broker = "RabbitMQ" if options.broker == "amqp" else "Valkey"
        whose = "your Postgres" if options.database_url else "Postgres"
        self.progress.step(f"{whose} and {broker} are up; the database is empty and marked as a drill's own")
        self.service = service.prepare(self.folder, base, ending)
        self.service.start(*service.NAMES)
        for name in service.NAMES:
            self.service.stack.wait_until_ready(name, within_seconds=READY_SECONDS)
        self.progress.step(f"{len(service.NAMES)} processes are healthy: {', '.join(service.NAMES)}")
        self._prepare_faults()

    def _prepare_faults(self) -> None:
        rows = self.service.rows
        self.metrics = Metrics(self.folder.path / "metrics")
        self.accounts = Accounts(self.folder.path / "answers.jsonl")
        self.accounts.path.unlink(missing_ok=True)
        self.probes = Probes(rows, claim_seconds=service.REMOTE_CLAIM_SECONDS)
        self.disturbances = Disturbances(self.service, rows, self.metrics)
        deliveries = Deliveries(self.service, self.disturbances, rows, self.metrics, self.probes)
        planned = self.schedule
        self.chaos = Chaos(planned.faults, planned.seconds, deliveries.by_kind(), lambda: self.service.has_breath)
        self.calm = Chaos(planned.calm, planned.all_seconds, deliveries.one_by_one(), self._is_calm)
        self.calm.one_at_a_time = True
        self.customers = Customers(
            options=self.options,
            folder=self.folder,
            port=self.service.stack.web_port,
            seconds=planned.all_seconds,
            accounts=self.accounts,
        )

    def _under_faults(self) -> None:
        """Faults on top of each other."""
        self.progress.step(
            f"seed {self.options.seed}: {self._wanted:,} orders, {len(self.schedule.faults)} faults "
            f"in {self.schedule.seconds:g} s and {len(self.schedule.calm)} one by one after that"
        )
        self.customers.tell_time(0.0)
        self.customers.come()
        self._deliver(self.chaos, began_at=0.0)

    def _one_by_one(self) -> None:
        """Faults each by itself, with the service well before each: so long does it take to recover from this one."""
        self._heal_wires()
        self.progress.step("faults one by one, to measure the recovery from each")
        self.probes.measuring = True
        self._deliver(self.calm, began_at=self.schedule.seconds)
        self.customers.tell_time(float("inf"))
        while self.customers.are_there:
            self._look()
        self.customers.insist_on_log()
        log = [*self.chaos.log, *self.calm.log]
        (self.folder.path / "logs" / "faults.log").write_text("\n".join(log) + "\n")

    def _deliver(self, chaos: Chaos, *, began_at: float) -> None:
        chaos.begin(elapsed=began_at)
        length = chaos.seconds - began_at
        gives_up_at = time.monotonic() + SLOWER_MAX * length + FAULTS_LATE_SECONDS
        while not chaos.is_over and time.monotonic() < gives_up_at:
            chaos.go_on()
            # A fault that is late still meets orders, and enough of them are left for what comes after it.
            self.customers.tell_time(min(chaos.elapsed, chaos.seconds + OVERTIME_SECONDS))
            self._look()
        chaos.end()

    def _is_calm(self) -> bool:
        return self.service.is_well and not self.probes.under_way

    def _look(self) -> None:
        self.service.look()
        self.probes.look()
        if self.progress.is_due:
            self.accounts.read()
            self.progress.show(self._state())
        time.sleep(LOOK_EVERY_SECONDS)

    def _state(self) -> str:
        try:
            orders = self.service.rows.orders()
            by_state = " ".join(f"{orders[state]:,} {state}" for state in sorted(orders)) or "no order yet"
        except psycopg.Error:
            by_state = "Postgres is away"
        tally = self._tally()
        return (
            f"{self.accounts.placed:,} of {self._wanted:,} answered · {by_state} · "
            f"faults {sum(tally.landed().values())} landed, {sum(tally.delivered().values())} delivered, "
            f"{len(self.schedule.faults) + len(self.schedule.calm)} planned · {self.accounts.retries:,} retries"
        )

    def _tally(self) -> Tally:
        return Tally([*self.chaos.told, *self.calm.told])

    def _heal_wires(self) -> None:
        for wire in self.service.wires.all():
            wire.heal()
        for provider in ("payments", "shipping"):
            self.disturbances.set_mood(provider, "ok")

    def _heal(self) -> None:
        """Nothing is disturbed any more; the drill's own dead letters are taken away."""
        for name in service.NAMES:
            self.service.thaw(name)
            self.service.start_again(name)
        for name in service.NAMES:
            self.service.stack.wait_until_ready(name, within_seconds=READY_SECONDS)
        self._heal_wires()
        self.disturbances.take_away_planted()
        self.progress.step("every wire, mood and process is healed")

    def _ask_all_again(self) -> None:
        """Every key once more, long after: the first answer, byte for byte (I2)."""
        self.customers.come_again()
        while self.customers.are_there:
            self._look()
        self.customers.insist_on_log()
        self.progress.step("every customer asked again with the same key")

    def _drain_backlog(self) -> None:
        if not self.options.backlog:
            return
        self._wait_for_rows()
        backlog = Backlog(self.service.rows)
        backlog.add(self.options.backlog)
        self.progress.step(f"a backlog of {backlog.added:,} messages")
        left = backlog.drain(self._look)
        if left:
            raise LocalError(f"{left:,} messages of the backlog were left after {backlog.seconds:.0f} s.")
        backlog.take_away()
        rate = backlog.added / max(backlog.seconds, 0.001)
        self.notes["backlog"] = {"messages": backlog.added, "seconds": round(backlog.seconds, 1), "per_second": rate}
        self.progress.step(f"drained in {backlog.seconds:.1f} s: {rate:,.0f} messages a second")

    def _wait_for_quiet(self) -> None:
        began = time.monotonic()
        self._wait_for_rows()
        self.disturbances.end_webhooks()
        left = self._wait_for_rows()
        said = ", ".join(f"{count:,} {name}" for name, count in left.items())
        self.progress.step(
            f"no quiet after {QUIET_SECONDS:g} s: {said}" if left else f"quiet {time.monotonic() - began:.1f} s later"
        )
        self.probes.end(self.accounts.first_answer_after)
        self.notes |= {"storms": self.accounts.storms, "ended_by_themselves": self.service.revived}
        for storm in self.accounts.storms:
            self.progress.step(
                f"storm: {storm['keys']:,} keys x {storm['times']}, {storm['answers']:,} answers "
                f"in {storm['seconds']:.1f} s, {storm['cut']:,} connections cut"
            )

    def _wait_for_rows(self) -> dict[str, int]:
        """What is still under way when patience ends: nothing, if all is well."""
        began = time.monotonic()
        while (left := self.service.rows.not_at_rest()) and time.monotonic() - began < QUIET_SECONDS:
            self._look()
        return left

    def _sources(self) -> gather.Sources:
        return gather.Sources(
            service=self.service,
            accounts=self.accounts,
            rows=self.service.rows,
            metrics=self.metrics,
            tally=self._tally(),
            recoveries=self.probes.all(),
        )


def plan(options: Options) -> Schedule:
    return schedule.plan(
        seed=options.seed,
        seconds=options.seconds,
        broker=options.broker,
        owns_postgres=not options.database_url,
    )
