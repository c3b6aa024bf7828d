import numpy as np

from streamdet.train.scale import batch_size_px
from streamdet.train.settings import TrainSettings

VARIED = TrainSettings(imgsz=320, multi_scale=0.5)


def sizes(settings: TrainSettings, epoch: int = 0) -> list[int]:
    return [batch_size_px(settings, epoch, batch, 32) for batch in range(300)]


def test_sizes_are_multiples_of_the_stride_all_over_the_range() -> None:
    # 160 to 480, rounded
    assert set(sizes(VARIED)) == set(range(160, 481, 32))
    assert abs(np.mean(sizes(VARIED)) - 320) < 16


def test_seed_epoch_and_batch_decide() -> None:
    assert sizes(VARIED) == sizes(VARIED)
    assert sizes(VARIED) != sizes(VARIED, epoch=1)
    assert sizes(VARIED) != sizes(VARIED.model_copy(update={"seed": 1}))


def test_without_it_the_size_is_that_of_the_settings() -> None:
    assert set(sizes(TrainSettings(imgsz=320))) == {320}


def test_there_is_a_cell_at_least() -> None:
    assert min(sizes(TrainSettings(imgsz=32, multi_scale=0.9))) == 32
