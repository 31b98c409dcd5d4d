from __future__ import annotations

import json
import math
import time

import pytest

from nasgan.contracts import Budget, Cost, Ledger
from nasgan.errors import BudgetExhausted, ConfigError

UNITS = ("architectures", "generator_steps", "images", "device_seconds")


def test_costs_add_up_by_unit_and_read_back():
    total = Cost(1, 2, 3, 0.5) + Cost(10, 20, 30, 0.25)
    assert total == Cost(11, 22, 33, 0.75)
    assert Cost.from_json(json.loads(json.dumps(total.to_json()))) == total


def test_phases_are_booked_apart_and_together():
    ledger = Ledger()
    ledger.charge(Cost(images=5))
    ledger.charge(Cost(images=7, architectures=1), Ledger.FINAL)
    ledger.charge(Cost(images=1))
    assert ledger.spent("search") == Cost(images=6)
    assert ledger.spent("final") == Cost(images=7, architectures=1)
    assert ledger.spent() == Cost(images=13, architectures=1)
    assert ledger.spent("never") == Cost()


@pytest.mark.parametrize("unit", ["architectures", "generator_steps", "images"])
def test_what_is_allowed_never_passes_the_limit(unit):
    ledger = Ledger(Budget(**{unit: 10}))
    assert ledger.allow(unit, 4) == 4
    ledger.charge(Cost(**{unit: 7}))
    assert ledger.remaining(unit) == 3
    assert ledger.allow(unit, 4) == 3
    ledger.charge(Cost(**{unit: 3}))
    with pytest.raises(BudgetExhausted, match=f"budget of 10 {unit} is spent") as caught:
        ledger.allow(unit, 1)
    assert caught.value.unit == unit


def test_booking_beyond_the_limit_is_kept_and_leaves_nothing():
    ledger = Ledger(Budget(images=10))
    ledger.charge(Cost(images=25))
    assert ledger.spent().images == 25
    assert ledger.remaining("images") == 0


def test_the_share_spent_is_that_of_the_limit_which_is_nearest():
    ledger = Ledger(Budget(architectures=100, generator_steps=1200))
    assert ledger.share == 0
    ledger.charge(Cost(architectures=1, generator_steps=600, images=10**9))
    assert ledger.share == 0.5
    ledger.charge(Cost(generator_steps=600), Ledger.FINAL)
    assert ledger.share == 0.5
    ledger.charge(Cost(architectures=79))
    assert ledger.share == 0.8
    ledger.charge(Cost(architectures=79))
    assert ledger.share == 1
    assert Ledger().share is None


def test_the_time_limit_ends_every_unit():
    ledger = Ledger(Budget(device_seconds=1.5))
    ledger.charge(Cost(device_seconds=1.4))
    assert ledger.allow("images", 10**9) == 10**9
    ledger.charge(Cost(device_seconds=0.2))
    for unit in UNITS:
        with pytest.raises(BudgetExhausted) as caught:
            ledger.allow(unit, 1)
        assert caught.value.unit == "device_seconds"


def test_the_final_phase_and_other_units_have_no_limit():
    ledger = Ledger(Budget(generator_steps=1))
    ledger.charge(Cost(generator_steps=1))
    assert ledger.allow("generator_steps", 50, Ledger.FINAL) == 50
    assert ledger.allow("images", 50) == 50
    assert ledger.remaining("images") == math.inf


def test_a_ledger_continues_from_its_state_as_plain_json():
    ledger = Ledger(Budget(generator_steps=10))
    ledger.charge(Cost(1, 6, 3, 0.1))
    ledger.charge(Cost(images=2), Ledger.FINAL)
    loaded = Ledger(Budget(generator_steps=10))
    loaded.charge(Cost(images=999))
    loaded.load_state_dict(json.loads(json.dumps(ledger.state_dict())))
    assert loaded.spent("search") == ledger.spent("search")
    assert loaded.spent() == ledger.spent()
    assert loaded.remaining("generator_steps") == 4


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("limit", [0, -1, math.nan, True])
def test_limits_that_are_none_are_refused(unit, limit):
    with pytest.raises(ConfigError, match=f"budget.{unit} must be above 0 or null"):
        Budget(**{unit: limit})


def test_nested_blocks_are_timed_once():
    ledger = Ledger()
    started = time.perf_counter()
    with ledger.timed():
        for _ in range(2):
            with ledger.timed():
                time.sleep(0.02)
    passed = time.perf_counter() - started
    assert 0.04 <= ledger.spent().device_seconds <= passed
    with pytest.raises(ZeroDivisionError), ledger.timed():
        time.sleep(0.01) or 1 / 0
    assert ledger.spent().device_seconds >= 0.05


def test_a_cost_is_required_in_full():
    ledger = Ledger(Budget(generator_steps=8))
    ledger.require(Cost(architectures=100, generator_steps=8, device_seconds=1e9))
    with pytest.raises(BudgetExhausted, match="8 generator_steps"):
        ledger.require(Cost(generator_steps=9))
