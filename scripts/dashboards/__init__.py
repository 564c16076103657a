"""The dashboards of dashboards/, built with Grafana's own SDK from the names of the contract.

`series` gives the contract's names as Prometheus stores them, `queries` makes PromQL of them,
`panels` makes panels with what all have in common; a module for each dashboard. Run as a program
(`make dashboards`) it writes the JSON that Grafana is provisioned with.
"""
