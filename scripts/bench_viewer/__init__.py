"""Measures the viewer: ingest, questions, frames."""
