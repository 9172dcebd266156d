"""Development tools: embedded servers, the supervisor behind `make up`, the sandbox. Never deployed, never imported."""
