"""Preview sizes: within the budget, on the grid, in the picture's own shape."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imageworks.prepare.budget import PixelBudget, budget_for, target_size

SIDES = st.integers(1, 20_000)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((6000, 4000), (1008, 672)),
        ((4000, 6000), (672, 1008)),
        ((4000, 3000), (1008, 756)),
        ((4000, 4000), (1008, 1008)),
        ((1024, 683), (1024, 683)),
        ((640, 480), (640, 480)),
        ((1, 1), (1, 1)),
        ((1030, 50), (1008, 50)),
        ((20_000, 1000), (1008, 56)),
        ((20_000, 10), (1008, 1)),
    ],
)
def test_known_sizes(size: tuple[int, int], expected):
    assert target_size(*size, PixelBudget()) == expected


def test_area_is_bounded_too():
    width, height = target_size(5000, 5000, PixelBudget(long_edge_px=2048, max_pixels=1_000_000))

    assert (width, height) == (980, 980)


@given(
    SIDES,
    SIDES,
    st.builds(PixelBudget, st.integers(1, 4096), st.integers(1, 4_000_000), st.integers(1, 64)),
)
def test_never_above_the_budget_and_never_enlarged(width, height, budget):
    new_width, new_height = target_size(width, height, budget)

    assert 1 <= new_width <= width
    assert 1 <= new_height <= height
    assert max(new_width, new_height) <= budget.long_edge_px
    assert new_width * new_height <= budget.max_pixels
    assert (new_height, new_width) == target_size(height, width, budget) or width == height


@given(st.integers(1100, 20_000), st.integers(1100, 20_000))
def test_photographs_keep_their_shape_within_half_a_grid_step(width, height):
    budget = PixelBudget()
    new_width, new_height = target_size(width, height, budget)

    long_px, short_px = max(new_width, new_height), min(new_width, new_height)
    exact = long_px * min(width, height) / max(width, height)
    assert long_px % budget.grid_px == 0
    assert abs(short_px - exact) <= budget.grid_px / 2 + 1


@given(SIDES, SIDES)
def test_reducing_twice_changes_nothing_more(width, height):
    once = target_size(width, height, PixelBudget())

    assert target_size(*once, PixelBudget()) == once


@pytest.mark.parametrize("field", ["long_edge_px", "max_pixels", "grid_px", "jpeg_quality"])
def test_impossible_budget_is_refused(field):
    with pytest.raises(ValueError, match="positive"):
        PixelBudget(**{field: 0})


def test_budgets_that_differ_have_different_names():
    budgets = [PixelBudget(), PixelBudget(1536), PixelBudget(grid_px=32), PixelBudget(max_pixels=9)]

    assert len({budget.name for budget in [*budgets, PixelBudget(jpeg_quality=90)]}) == 5


@pytest.mark.parametrize(
    ("models", "grid_px"),
    [
        ((), 28),
        (("Qwen2.5-VL-7B-AWQ",), 28),
        (("Qwen/Qwen2-VL-2B-Instruct",), 28),
        (("Qwen3-VL-8B-Instruct",), 32),
        (("qwen3.5:4b",), 32),
        (("qwen3.6-27b", "Qwen3-VL-2B"), 32),
        (("Qwen3-VL-8B", "gemma-3-4b-it"), 28),
        (("mistralai/Pixtral-12B",), 32),
        (("llava-v1.6",), 28),
    ],
)
def test_the_grid_is_that_of_all_the_models(models: tuple[str, ...], grid_px: int):
    assert budget_for(1024, models).grid_px == grid_px


@pytest.mark.parametrize(
    ("long_edge_px", "size_px", "expected"),
    [
        (1024, (6000, 4000), (1008, 672)),
        (1536, (6000, 4000), (1512, 1008)),
        (1536, (4000, 4000), (1232, 1232)),
        (512, (4000, 4000), (504, 504)),
    ],
)
def test_a_detailed_profile_gets_its_long_edge_in_the_usual_shape(
    long_edge_px: int, size_px: tuple[int, int], expected: tuple[int, int]
):
    assert target_size(*size_px, budget_for(long_edge_px)) == expected


def test_the_default_profiles_budget_is_the_default_one():
    assert budget_for(1024) == PixelBudget()
