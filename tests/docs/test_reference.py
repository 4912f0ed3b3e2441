"""The pages say what the code says: generated parts, checks, variables, deployments."""

import re

import pytest

from deployments.server.environment import VARIABLES
from docs.reference import PARTS, PLACE, filled
from model.prediction.checks import QUANTITIES
from schemas.comparison import STEP_WORDS
from tests.docs.pages import ROOT
from tests.test_architecture import sources

PAGES = {page.name: page.read_text(encoding="utf-8") for page in sorted(ROOT.glob("docs/*.md"))}
PREFECT = (ROOT / "deployments" / "prefect.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [name for name, text in PAGES.items() if PLACE.search(text)])
def test_generated_parts_of_a_page_are_current(page):
    assert filled(PAGES[page]) == PAGES[page], "run `make reference`"


def test_every_generated_part_is_in_one_page():
    places = [place[2] for text in PAGES.values() for place in PLACE.finditer(text)]
    assert sorted(places) == sorted(PARTS)


def test_every_check_step_and_deployment_is_documented():
    assert {name for name in QUANTITIES if f"`{name}`" not in PAGES["results.md"]} == set()
    assert {step for step in STEP_WORDS if f"| `{step}` |" not in PAGES["compare.md"]} == set()
    deployments = re.findall(r"^ *- name: ([a-z-]+)$", PREFECT, re.MULTILINE)
    assert len(deployments) > 3
    assert [name for name in deployments if f"| `{name}` |" not in PAGES["schedules.md"]] == []


def test_every_variable_of_the_environment_is_documented():
    texts = [text for name, text in sources().items() if not name.endswith(".environment")]
    read = set(re.findall(r"\bSCREENBAYES_[A-Z_]+", "\n".join([PREFECT, *texts])))
    assert read == {name for name in VARIABLES if name.startswith("SCREENBAYES_")}
