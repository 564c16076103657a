"""Out of tcpwatch: records to spans, records to metrics, process metrics, provider set-up."""
