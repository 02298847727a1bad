# SPDX-License-Identifier: EUPL-1.2
"""harness: what scenarios, torture, demo and bench start and stop: gateways, sinks, name servers,
Postfix. Everything lives in a temporary directory, listens on loopback and is stopped by its pid.
Standard library only."""
