"""Anchors that suit boxes: found, evolved, and kept where they already do."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdet.errors import InputError
from streamdet.models.heads import AnchorHead
from streamdet.train.anchors import best_possible_recall, evolve_anchors, fit_anchors, fitness, kmeans_anchors

CLUSTERS = np.array([[10, 14], [22, 40], [60, 25], [70, 110], [150, 90], [200, 300]], float)

sizes_px = st.lists(st.tuples(st.floats(2, 900), st.floats(2, 900)), min_size=1, max_size=40)


def scattered(centers: np.ndarray, count: int = 60) -> np.ndarray:
    """Return `count` sizes around each center, within 5 % of it, shuffled."""
    rng = np.random.default_rng(0)
    sizes = np.repeat(centers, count, 0)
    return rng.permutation(sizes * rng.uniform(0.95, 1.05, sizes.shape))


def head_with(anchors_px: list[list[float]], strides_px: tuple[int, ...]) -> AnchorHead:
    return AnchorHead(1, anchors_px, [8] * len(strides_px), strides_px)


def test_kmeans_finds_the_clusters_smallest_first() -> None:
    anchors = kmeans_anchors(scattered(CLUSTERS), len(CLUSTERS))
    by_area = CLUSTERS[np.argsort(CLUSTERS.prod(1))]
    assert anchors == pytest.approx(by_area, rel=0.01)


@given(sizes_px, st.integers(1, 12))
def test_kmeans_gives_as_many_anchors_as_asked_for_within_the_boxes(
    sizes: list[tuple[float, float]], count: int
) -> None:
    anchors = kmeans_anchors(sizes, count)
    assert anchors.shape == (count, 2)
    assert (anchors >= np.min(sizes, 0) * 0.999).all()
    assert (anchors <= np.max(sizes, 0) * 1.001).all()
    assert (np.diff(anchors.prod(1)) >= 0).all()


def test_a_box_is_matched_as_well_as_the_worse_side() -> None:
    anchors = [[10, 10], [100, 20]]
    # Best matches: equal 1; 8 / 10; 10 / 39; 10 / 41, which is below 1 / 4; min(50 / 100, 20 / 40) with the second.
    sizes = [[10, 10], [8, 10], [39, 10], [41, 10], [50, 40]]
    assert best_possible_recall(anchors[:1], sizes) == pytest.approx(3 / 5)
    assert best_possible_recall(anchors[:1], sizes, ratio=5) == pytest.approx(5 / 5)
    # With the second anchor (39, 10) and (41, 10) match by 39 / 100 and 41 / 100.
    assert best_possible_recall(anchors, sizes) == 1
    assert fitness(anchors[:1], sizes) == pytest.approx((1 + 0.8 + 10 / 39 + 0 + 0) / 5)
    assert fitness(anchors, sizes) == pytest.approx((1 + 0.8 + 0.39 + 0.41 + 0.5) / 5)


def test_boxes_below_two_pixels_do_not_count() -> None:
    assert best_possible_recall([[10, 10]], [[10.0, 10.0], [1.9, 500.0]]) == 1
    with pytest.raises(InputError, match="expected labelled boxes with sides of at least 2 px, found none"):
        kmeans_anchors([[1, 50], [50, 1]], 3)


@settings(max_examples=30)
@given(sizes_px, sizes_px, st.integers(0, 5))
def test_evolution_never_lowers_the_fitness(
    anchors: list[tuple[float, float]], sizes: list[tuple[float, float]], seed: int
) -> None:
    evolved = evolve_anchors(anchors, sizes, seed=seed, generations=30)
    assert evolved.shape == (len(anchors), 2)
    assert fitness(evolved, sizes) >= fitness(anchors, sizes) - 1e-12


def test_evolution_reaches_the_shape_of_the_only_cluster() -> None:
    sizes = np.full((5, 2), (40.0, 90.0))
    assert evolve_anchors([[20, 30]], sizes) == pytest.approx(np.array([[40, 90]]), rel=0.02)
    assert fitness([[20, 30]], sizes) == pytest.approx(1 / 3)


def test_evolution_depends_on_nothing_but_its_seed() -> None:
    sizes = scattered(CLUSTERS)
    first, again, other = (evolve_anchors([[20, 20], [90, 90]], sizes, seed=seed, generations=50) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_anchors_that_suit_the_boxes_are_kept() -> None:
    head = head_with([[10, 14, 22, 40], [60, 25, 70, 110], [150, 90, 200, 300]], (8, 16, 32))
    before = head.anchors.clone()
    assert fit_anchors(head, scattered(CLUSTERS)) == (1, 1)
    assert torch.equal(head.anchors, before)


def test_anchors_that_do_not_suit_are_replaced_the_small_ones_on_fine_levels() -> None:
    head = head_with([[1000, 2000, 1000, 2000], [1000, 2000, 1000, 2000], [1000, 2000, 1000, 2000]], (8, 16, 32))
    fit = fit_anchors(head, scattered(CLUSTERS), seed=3)
    assert (fit.before, fit.after) == (0, 1)
    by_area = torch.from_numpy(CLUSTERS[np.argsort(CLUSTERS.prod(1))]).float().view(3, 2, 2)
    torch.testing.assert_close(head.anchors_px, by_area, rtol=0.03, atol=0)
    torch.testing.assert_close(head.anchors[2], head.anchors_px[2] / 32)


@pytest.mark.parametrize(("outliers", "after"), [(1, 0.99), (3, 1.0)])
def test_two_boxes_of_a_hundred_may_go_without(outliers: int, after: float) -> None:
    head = head_with([[10, 10, 12, 12]], (8,))
    sizes = np.repeat([[10, 10], [100, 100]], [100 - outliers, outliers], 0)
    assert fit_anchors(head, sizes) == pytest.approx((1 - outliers / 100, after))


def test_anchors_are_kept_when_the_evolved_ones_are_no_better() -> None:
    # Three boxes of five are small. One anchor between both kinds, (406, 406), is within a factor of 4 of the large.
    head = head_with([[10, 10]], (8,))
    assert fit_anchors(head, [[10, 10]] * 3 + [[1000, 1000]] * 2) == pytest.approx((0.6, 0.6))
    assert head.anchors_px.flatten().tolist() == [10, 10]


def test_the_published_anchors_suit_coco(data: Path) -> None:
    files = sorted((data / "coco128").rglob("labels/**/*.txt"))
    rows = np.concatenate([np.loadtxt(file, ndmin=2) for file in files if file.read_text().strip()])
    published = [[10, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119], [116, 90, 156, 198, 373, 326]]
    fit = fit_anchors(head_with([list(map(float, level)) for level in published], (8, 16, 32)), rows[:, 3:5] * 640)
    assert fit.before == fit.after > 0.99
