"""What tcpwatch costs, beside a server without it and beside OpenTelemetry's own instrumentation."""
