"""The last screen of `make up`: where everything is, who one may be, and what to try first."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.screen import Screen

TEXT = """
  API            {base_url}/orders      (browsable; docs {base_url}/api/docs/)
  Admin          {base_url}/admin/      {username} / {password}
  On call        {base_url}/admin/live/ {operator_username} / {operator_password}
  Health         {base_url}/health/ready
  Metrics        {metrics_url}
  Sandbox        {sandbox_url}          (the payment provider and carrier, with faults)
  Logs           {folder}/logs/         what runs: {folder}/run.json
  Demo token     {customer}

Send one order twice with one key; the second answer is the first one, byte for byte:

  for i in 1 2; do curl -si {base_url}/orders \\
    -H 'Authorization: Token {customer}' \\
    -H 'Content-Type: application/json' -H 'Idempotency-Key: "my-first-order"' \\
    -d '{{"sku": "WIDGET", "quantity": 3}}'; echo; done

See how it went on:

  curl -s {base_url}/orders -H 'Authorization: Token {customer}'

Let the carrier fail for a while, and put it right again (in a second shell; docs/operations.md, "A night on call"):

  .venv/bin/python manage.py sandbox mood shipping down
  .venv/bin/python manage.py sandbox mood shipping ok

Ctrl-C ends everything; `make up` goes on with the same data; `make reset` forgets it.
"""


@dataclass(frozen=True)
class Farewell:
    """Rendered from the run file, so that it tells what scripts read."""

    screen: Screen
    run: dict[str, Any]
    folder: Path

    def show(self) -> None:
        places = {name: self.run[name] for name in ("base_url", "metrics_url", "sandbox_url")}
        self.screen.say(
            TEXT.format(
                **places,
                username=self.run["admin"].get("username", ""),
                password=self.run["admin"].get("password", ""),
                operator_username=self.run["operator"].get("username", ""),
                operator_password=self.run["operator"].get("password", ""),
                customer=self.run["tokens"].get("customer", ""),
                folder=self.folder,
            )
        )
