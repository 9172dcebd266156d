"""An app for tests only: a consumer that does to its process what a message names (F9)."""
