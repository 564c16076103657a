"""What tcpwatch costs, beside a bare server and OpenTelemetry's own instrumentation."""
