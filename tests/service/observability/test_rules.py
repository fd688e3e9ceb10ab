"""Alerts: each fires and does not fire in promtool's tests, and leads to a section that exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.service.observability.prometheus_server import PROMTOOL, needs_prometheus

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "deploy" / "prometheus"
RULE_FILES = sorted(RULES.glob("*.rules.yml"))
TESTS = sorted((RULES / "tests").glob("*.yml"))
RULE_TEXT = "".join(path.read_text() for path in RULE_FILES)
ALERTS = re.findall(r"- alert: (\w+)", RULE_TEXT)


def promtool(*arguments: str) -> None:
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_prometheus
def test_rules_are_valid() -> None:
    promtool("check", "rules", *map(str, RULE_FILES))


@needs_prometheus
@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_should(path: Path) -> None:
    promtool("test", "rules", str(path))


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_is_tried_both_ways(alert: str) -> None:
    text = "".join(path.read_text() for path in TESTS)
    assert re.search(rf"alertname: {alert}, eval_time: \S+, exp_alerts: \[\]", text)
    assert re.search(
        rf"alertname: {alert}\n\s+eval_time: \S+\n\s+exp_alerts:\n\s+- exp_labels", text
    )


def test_each_alert_leads_to_a_section() -> None:
    links = re.findall(r"runbook_url: docs/operations\.md#(\S+)", RULE_TEXT)
    assert len(links) == len(ALERTS)
    headings = re.findall(r"^#+ (.*)$", (ROOT / "docs" / "operations.md").read_text(), re.M)
    sections = {heading.lower().replace(" ", "-") for heading in headings}
    assert set(links) <= sections


def test_each_alert_says_when_it_wants_somebody() -> None:
    severities = re.findall(r"severity: (\w+)", RULE_TEXT)
    assert len(severities) == len(ALERTS)
    assert set(severities) == {"page", "ticket"}
