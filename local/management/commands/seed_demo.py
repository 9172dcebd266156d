"""`manage.py seed_demo`: a catalogue, demo users, their tokens. Safe to repeat."""

from typing import Any

from django.core.management.base import BaseCommand

from local.folder import Folder, local_dir
from local.seed import seed_demo


class Command(BaseCommand):
    help = "Adds a demo catalogue and demo users where they are missing; prints where their tokens stand."

    def handle(self, *args: Any, **options: Any) -> None:
        folder = Folder(local_dir())
        folder.make()
        credentials = seed_demo(folder)
        if options["verbosity"] == 0:
            return
        self.stdout.write(f"Customer's token: {credentials['tokens']['customer']}")
        self.stdout.write(f"The catalogue and the demo users are there; their tokens stand in {folder.path}/.")
