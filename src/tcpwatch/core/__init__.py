"""Sense out of marks: no I/O, no clock, no threads, no OpenTelemetry."""
