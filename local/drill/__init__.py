"""The drill: chaos on purpose, and the pieces that others use of it."""
