"""The train config: one complete, validated description of a training run.

Here: the typed parts, `override` by dotted path, and the way to and from a plain dict (checkpoints, journal, MLflow).
Not here: which networks exist and which of their options are possible (`cifarray.models`), named configs
(`cifarray.recipes`), what a search varies (`cifarray.space.space`).

Every duration is a fraction of `epochs` and `batch_size` is always the global one, so a config means the same training
run whatever its length and whatever the number of workers.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cifarray.fields import flatten
from cifarray.wrong_fields import explain, which_was_meant

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
UnitInterval = Annotated[float, Field(gt=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class Part(BaseModel):
    """Base of every part: frozen, and a field that does not exist is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelConfig(Part):
    """Which network: `name` and the options of its builder, as in `cifarray.models.build(name, **options)`.

    The options are open here because each family has its own; `cifarray.models` checks them against the builder.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str = "wide_resnet"

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments for the builder."""
        return dict(self.__pydantic_extra__ or {})


class DataConfig(Part):
    """What is trained on and how it is augmented (units: pixels)."""

    source: str = "cifar10"
    """cifar10, cifar100, synthetic, a folder or s3://, gs:// prefix of Parquet files, or a folder of class folders."""
    image_size: Annotated[int, Field(ge=8, le=512)] = 32
    """Side of the stored square images; a source of another side is resized when it is prepared."""
    validation: NonNegative = 0.1
    """Held out of the training images, stratified and the same for every trial and seed: below 1 a fraction of them
    (0.1 is 5,000 of CIFAR's 50,000), from 1 on a number of images, 0 trains on everything."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Stratified subset: at most this many training images remain after the validation split."""
    grid: Literal[1, 2] = 1
    """2: pictures of 2 × 2 images, of twice the side, whose labels are those of all four (`cifarray.data.grids`)."""
    crop: Literal["padded", "resized"] = "padded"
    """padded: a crop at random after `crop_padding`. resized: a rectangle of random area and ratio, resized (Szegedy et
    al. 2014, arXiv:1409.4842, §6)."""
    crop_size: Annotated[int, Field(ge=8, le=512)] | None = None
    """Side that the network sees, at most `image_size`; None: all of it. In evaluation a larger image is resized to
    256/224 of this side and its centre is cropped (He et al. 2019, arXiv:1812.01187, §2.1)."""
    crop_padding: Annotated[int, Field(ge=0)] = 4
    """crop=padded: this many pixels on every side before the crop; 0 adds none."""
    padding_mode: Literal["zero", "reflect"] = "zero"
    crop_area: tuple[UnitInterval, UnitInterval] = (0.08, 1.0)
    """crop=resized: the least and the largest share of the image's area."""
    crop_ratio: tuple[Positive, Positive] = (3 / 4, 4 / 3)
    """crop=resized: the least and the largest width over height."""
    flip: bool = True
    """Random horizontal flip."""
    policy: Literal["none", "trivial_augment", "rand_augment"] = "none"
    """torchvision's TrivialAugmentWide (arXiv:2103.10158) or RandAugment (arXiv:1909.13719, n = 2, m = 9)."""
    color_jitter: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Hue, saturation and brightness are each multiplied by a number from U(1 − j, 1 + j); 0.4 in arXiv:1812.01187,
    §2.1. 0 turns it off."""
    pca_noise: NonNegative = 0.0
    """Deviation of the noise along the principal components of the training pixels' colours (Krizhevsky et al. 2012,
    §4.1; 0.1 there); 0 turns it off."""
    cutout: Annotated[int, Field(ge=0)] = 0
    """Side of the square that cutout blanks (DeVries & Taylor 2017, arXiv:1708.04552, §3.2); 0 turns it off."""

    @property
    def input_size(self) -> int:
        """Side of what the network sees."""
        return (self.crop_size or self.image_size) * self.grid

    @property
    def picture_size(self) -> int:
        """Side of what a trained network is given to classify: a stored image, or a grid of them."""
        return self.image_size * self.grid

    @field_validator("policy", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return "none" if value is None else value  # as "none" arrives from the command line

    @model_validator(mode="after")
    def _check(self) -> "DataConfig":
        if self.crop_size is not None and self.crop_size > self.image_size:
            raise ValueError(
                f"data.crop_size {self.crop_size} is more than data.image_size {self.image_size}: "
                "choose at most that, or larger images"
            )
        if self.crop_size is not None and self.grid == 2:
            raise ValueError("data.crop_size is not for 2 × 2 grids, whose quarters are whole images: leave it at none")
        for name, (low, high) in (("crop_area", self.crop_area), ("crop_ratio", self.crop_ratio)):
            if low > high:
                raise ValueError(f"data.{name} {low}, {high} must rise: give the smaller number first")
        if self.validation >= 1 and self.validation != int(self.validation):
            raise ValueError(
                f"data.validation {self.validation} is neither a fraction nor a number of images: "
                "choose a value below 1, or a whole number"
            )
        return self


class InitConfig(Part):
    """How the weights begin (`cifarray.models.initialise`)."""

    weights: Literal["family", "he_fan_in", "he_fan_out", "xavier"] = "family"
    """family: as the network's authors did. He et al. 2015 (arXiv:1502.01852, §2.2), Glorot & Bengio 2010."""
    zero_gamma: bool = False
    """The last batch normalisation of each residual branch begins at γ = 0, so that a block begins as its shortcut
    (Goyal et al. 2017, arXiv:1706.02677, §5.1). Only where branches end in one."""


class OptimizerConfig(Part):
    """torch.optim's SGD, Adam, AdamW or Muon. `lr` is the peak of the schedule."""

    name: Literal["sgd", "adam", "adamw", "muon"] = "sgd"
    """Decay is part of the gradient in sgd and adam, and beside it in adamw and muon. muon: Muon for convolutions and
    hidden layers, AdamW for the rest, both at the rate `lr` as of AdamW."""
    lr: Positive = 0.1
    """A rate of SGD; adam, adamw and muon take about a hundredth of it."""
    linear_scaling: bool = False
    """`lr` is for batches of 256 images: the peak is lr · batch_size / 256 (Goyal et al. 2017, arXiv:1706.02677,
    §2.1)."""
    weight_decay: NonNegative = 5e-4
    decay: Literal["all", "weights"] = "all"
    """all: every parameter decays, as in the CIFAR papers. weights: only those of convolutions and linear layers, no
    bias and no norm (He et al. 2019, arXiv:1812.01187, §3.1)."""
    momentum: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    """SGD's and Muon's momentum; under one_cycle the momentum stays at this value (it is not cycled)."""
    nesterov: bool = True
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    """Adam's and AdamW's moment decay rates, also beside Muon."""

    @model_validator(mode="after")
    def _check(self) -> "OptimizerConfig":
        if self.name == "sgd" and self.nesterov and self.momentum == 0:
            raise ValueError("optimizer.nesterov needs a momentum above 0: set optimizer.nesterov to false")
        return self


class ScheduleConfig(Part):
    """How the learning rate moves, stepped once per batch. All durations are fractions of `epochs`."""

    name: Literal["constant", "multistep", "step", "cosine", "one_cycle", "polynomial"] = "cosine"
    """cosine: half a period, without restarts (Loshchilov & Hutter 2017, arXiv:1608.03983)."""
    warmup: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Linear warm-up in front of any schedule (Goyal et al. 2017, arXiv:1706.02677, §2.2)."""
    milestones: tuple[Fraction, ...] = (0.3, 0.6, 0.8)
    """multistep: where the rate is multiplied by `gamma`; the default is WideResNet's 60, 120, 160 of 200."""
    step_size: UnitInterval = 0.25
    """step: the rate is multiplied by `gamma` each time so much has passed."""
    gamma: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    power: Positive = 1.0
    """polynomial: lr · (1 − share done) ^ power."""
    pct_start: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    """one_cycle: the fraction that rises (Smith & Topin 2017, arXiv:1708.07120)."""
    div_factor: Positive = 25.0
    """one_cycle: the first rate is lr / div_factor."""
    final_div_factor: Positive = 1e4
    """one_cycle: the last rate is lr / (div_factor · final_div_factor)."""

    @model_validator(mode="after")
    def _check(self) -> "ScheduleConfig":
        if list(self.milestones) != sorted(set(self.milestones)):
            raise ValueError(f"schedule.milestones {self.milestones} must rise: give each fraction once, in order")
        if self.name == "multistep" and self.milestones and self.milestones[0] <= self.warmup > 0:
            raise ValueError(
                f"schedule.warmup {self.warmup} reaches past the first milestone {self.milestones[0]}: choose less"
            )
        return self


class DistillationConfig(Part):
    """A teacher's answers as second targets: loss + weight · T² · KL(teacher ‖ student), both softened by T (Hinton et
    al. 2015, arXiv:1503.02531, §2; He et al. 2019, arXiv:1812.01187, §5.3)."""

    teacher: str | None = None
    """A checkpoint's path or address; jobs also take a study, a trial (STUDY-NUMBER) or an MLflow run id. None: no
    teacher."""
    studies: tuple[str, ...] = ()
    """Ids of the studies that the teachers are of, which jobs fill in: a checkpoint of another one is refused, as where
    a teacher's study was set aside and a new one writes to the old address. Empty: whatever is there is taken."""
    temperature: Positive = 20.0
    weight: Positive = 1.0


class TrainConfig(Part):
    """One complete description of a training run."""

    model: ModelConfig = ModelConfig(name="wide_resnet", depth=16, widen_factor=1, dropout=0.0)
    data: DataConfig = DataConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    init: InitConfig = InitConfig()
    distillation: DistillationConfig = DistillationConfig()
    epochs: Annotated[int, Field(gt=0)] = 200
    batch_size: Annotated[int, Field(gt=0)] = 128
    """Global: the sum over all workers."""
    accumulate: Annotated[int, Field(gt=0)] = 1
    """Each worker's part of a batch goes through the network in so many micro-batches, whose gradients add up."""
    auto_micro_batch: bool = False
    """Out of GPU memory: do the epoch again with micro-batches of half the size; there is a checkpoint after every
    epoch then. Off by default, since batch normalisation sees other batches; it is recorded where it happens."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """So much of the target is shared out over all classes (Szegedy et al. 2016, arXiv:1512.00567, §7)."""
    mixup: NonNegative = 0.0
    """α of mixup (Zhang et al. 2018, arXiv:1710.09412), λ from Beta(α, α) for each image; 0 turns it off."""
    cutmix: NonNegative = 0.0
    """α of CutMix (Yun et al. 2019, arXiv:1905.04899); with mixup too, each image gets one of them, by a fair coin."""
    stochastic_depth: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Chance that the last residual branch is dropped for an image, rising linearly from the first (Huang et al. 2016,
    arXiv:1603.09382; torchvision's operation, which rescales in training). The network `stochastic_depth_resnet` has
    its own, the authors', as model.death_rate."""
    ema_decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Decay per step of the moving average of the weights, which then is what is evaluated and loaded (Tarvainen &
    Valpola 2017, arXiv:1703.01780, §2); 0: none."""
    clip_norm: Positive | None = None
    """Gradients are scaled down to this total norm (Pascanu et al. 2013, arXiv:1211.5063); None leaves them."""
    precision: Literal["auto", "fp32", "tf32", "bf16", "fp16"] = "auto"
    """auto: the fastest that is safe on the device (`training.precision`). fp32 is IEEE 754's everywhere; tf32 is
    float32 that a GPU rounds to 10 bits on the way into its matrix units."""
    sync_batch_norm: bool = False
    """Batch normalisation over the batches of all workers instead of each worker's part; on GPUs only."""
    channels_last: bool = True
    compile: bool = False
    cuda_graph: Literal["auto", "on", "off"] = "auto"
    """A step's kernels on a GPU launched at once, from the sixteenth step on; auto: where they can be and it is faster.
    The same weights either way (`training.step`)."""
    deterministic: bool = True
    """Same seed, same hardware, same number of workers: the same weights, bit for bit."""
    seed: Annotated[int, Field(ge=0)] = 0
    checkpoint_every: Annotated[int, Field(gt=0)] = 1
    """A checkpoint after every so many epochs; there is always one at the end."""
    checkpoint_minutes: NonNegative = 1.0
    """And none sooner than so many minutes after the one before, but where the trial ends or may be told to leave its
    workers; 0: whenever it is due. Workers that die take about as long to come up again."""

    @property
    def peak_lr(self) -> float:
        """The rate that the schedule peaks at."""
        return self.optimizer.lr * (self.batch_size / 256 if self.optimizer.linear_scaling else 1)

    @property
    def task(self) -> Literal["single_label", "grid_labels"]:
        """What the network is asked (`cifarray.training.tasks`)."""
        return "single_label" if self.data.grid == 1 else "grid_labels"

    @model_validator(mode="after")
    def _check(self) -> "TrainConfig":
        if self.data.grid != 1:
            single = {"mixup": self.mixup, "cutmix": self.cutmix, "distillation.teacher": self.distillation.teacher}
            for name, value in single.items():
                if value:
                    raise ValueError(f"{name} {value} is for single images, not for 2 × 2 grids: set data.grid to 1")
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-ready dict; `TrainConfig.from_dict` is its inverse."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainConfig":
        """Raises ValueError with one line per wrong field."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(explain(error)) from None


WHEN_SAVED = ("checkpoint_every", "checkpoint_minutes")
"""Fields of a train config that only say when there are checkpoints: the training is the same."""


def override(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """A new config with fields replaced by dotted path: `override(config, {"optimizer.lr": 0.2})`.

    Raises ValueError if a path does not exist or a value breaks a field's rule; an option of the model may be new.
    """
    tree = config.to_dict()
    for path, value in values.items():
        node: Any = tree
        *parents, leaf = path.split(".")
        for name in parents:
            node = node.get(name) if isinstance(node, dict) else None
        # Which options a network has is for its builder to say.
        if not isinstance(node, dict) or (leaf not in node and parents != ["model"]):
            raise ValueError(
                f"{path} is not a field of the train config: {which_was_meant(path, flatten(config.to_dict()))}"
            )
        if isinstance(node.get(leaf), dict):
            raise ValueError(f"{path} is not one field but several: name one, such as {path}.{next(iter(node[leaf]))}")
        node[leaf] = value
    return TrainConfig.from_dict(tree)
