"""The embedded viewer: it receives OTLP, keeps it in memory and says what it means."""
