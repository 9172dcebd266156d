"""`manage.py seed_demo`: a catalogue, demo users, their tokens. Safe to repeat."""

from argparse import ArgumentParser
from typing import Any

from local.folder import Folder, local_dir
from local.seed import seed_demo
from outbox.command_line import DONE, MISUSED, ServiceCommand, add_json


class Command(ServiceCommand):
    help = (
        "Adds a demo catalogue and demo users where they are missing; prints where their tokens stand. Safe to repeat: "
        "what is there stays as it is. Development only; `make up` does it."
    )
    examples = (("seed_demo", "products to order, and people to order them"),)
    exit_codes = {DONE: "done, also when everything was there", MISUSED: "misuse"}

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_json(parser, "the folder, and the customer's token, as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Folder(local_dir())
        folder.make()
        credentials = seed_demo(folder)
        if options["verbosity"] == 0:
            return
        token = credentials["tokens"]["customer"]
        if options["json"]:
            self.print_json({"folder": str(folder.path), "customer_token": token})
            return
        self.stdout.write(f"Customer's token: {token}")
        self.stdout.write(f"The catalogue and the demo users are there; their tokens stand in {folder.path}/.")
