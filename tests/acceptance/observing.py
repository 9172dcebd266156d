"""A service whose every process is scraped like a container: a folder and an address of its own for its metrics."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests

from local.ports import any_free
from tests.deploy.promql.evaluation import Vector, evaluate
from tests.deploy.promql.parser import parse
from tests.deploy.promql.samples import Samples
from tests.support.service import Service

# As long as a frozen process keeps a scrape waiting.
SCRAPE_SECONDS = 10
JOB = "orders"


@dataclass
class Observed:
    """Starts processes, scrapes those that answer, and remembers every page as Prometheus would."""

    service: Service
    folder: Path
    environment: Mapping[str, str]
    samples: Samples = field(default_factory=Samples)
    pages: list[str] = field(default_factory=list)
    _ports: dict[str, int] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    def start(self, *names: str, **more: str) -> None:
        for name in names:
            metrics = self.folder / name
            metrics.mkdir(exist_ok=True)
            self._ports.setdefault(name, any_free())
            own = {"PROMETHEUS_MULTIPROC_DIR": str(metrics), "METRICS_BIND": f"127.0.0.1:{self._ports[name]}"}
            self.service.stack.start(name, environment={**self.environment, **own, **more})
        self.service.stack.wait_until_ready(*names, within_seconds=180)

    def look(self, *names: str) -> None:
        """One scrape of these processes, or of all; one that is frozen or gone is not there."""
        for name in names or tuple(self._ports):
            try:
                answer = requests.get(f"http://127.0.0.1:{self._ports[name]}/metrics", timeout=SCRAPE_SECONDS)
            except requests.RequestException:
                continue
            assert answer.status_code == 200, answer.text
            self.pages.append(answer.text)
            self.samples.scrape(answer.text, moment=self.now, job=JOB, instance=name)

    def tells(self, expression: str) -> bool:
        """Whether the expression holds after one more scrape."""
        self.look()
        return bool(self.ask(expression))

    def ask(self, expression: str) -> Vector:
        value = evaluate(parse(expression), self.samples, self.now)
        assert isinstance(value, dict)
        return value

    def labels(self) -> Iterator[tuple[str, str, str]]:
        """(metric, label, value) of everything that was ever told, the target's own labels left out."""
        for name, labels in self.samples.series:
            yield from ((name, label, value) for label, value in labels if label not in ("job", "instance"))

    @property
    def now(self) -> float:
        return time.monotonic() - self._began
