"""How neurons are shown."""

from pydantic import Field

from neuroinspect.settings.base import Settings


class IllusionSettings(Settings):
    """CLIP-Illusion (method section 2)."""

    steps: int = Field(default=450, ge=1, description="300 preview, 450 normal, 650 final")
    class_weight: float = Field(
        default=0.5, ge=0, le=1, description="gamma: how much of the class logit is in the picture"
    )
    guide_offset: float = Field(default=0.05, ge=0, description="epsilon of eq. 4")
    learning_rate: float = Field(default=9e-3, gt=0)
    final_learning_rate: float = Field(
        default=0.12, gt=0, le=1, description="part of the learning rate at the last step"
    )
    weight_decay: float = Field(default=2e-4, ge=0)
    decay_power: float = Field(
        default=1.5, ge=0, description="amplitude of the spectrum falls with frequency to this power"
    )
    start_deviation: float = Field(default=0.001, gt=0)
    start_reach: float = Field(
        default=1.0, gt=0, le=1, description="how far a colour may go from a picture started from; 1 = anywhere"
    )
    rotation: float = Field(default=15.0, ge=0, description="degrees")
    shift: float = Field(default=0.15, ge=0, le=1, description="part of the side")
    scale: tuple[float, float] = (0.7, 1.2)
    colour_jitter: float = Field(default=0.2, ge=0)
    warm_up: float = Field(
        default=0.1, ge=0, le=1, description="part of the steps with gradients passed through silent ReLUs"
    )
    restarts: int = Field(default=2, ge=0, description="other noise for a neuron that stays silent")
    memory_cap_mb: int = Field(default=2048, ge=64)


class VisualizeSettings(Settings):
    """Pictures for the reviewer."""

    neurons: int = Field(default=8, ge=1, description="top neurons of each direction to draw")
    illusion: IllusionSettings = IllusionSettings()
    feature_visualization: bool = Field(default=True, description="plain feature visualization beside each illusion")
    real_images: int = Field(default=6, ge=0, description="top-activating validation pictures of each neuron")
    shard_size: int = Field(default=4, ge=1, description="pairs in one shard: the most a killed run loses")
