"""Every field of ``TrainingArguments`` with its default and one sentence, under the ecosystem's names.

Fields only; ``arguments.py`` has what they do together.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from bothways.trainer.outputs import HubStrategy, IntervalStrategy, SaveStrategy

LOG_LEVELS = ("debug", "info", "warning", "error", "critical", "passive")
SAMPLING_STRATEGIES = ("random", "sequential", "group_by_length")
HALF_PRECISION_BACKENDS = ("auto", "apex", "cpu_amp")
DDP_BACKENDS = ("nccl", "gloo", "mpi", "ccl", "xccl", "hccl", "cncl", "mccl")


def argument(default: Any, says: str, **metadata: Any) -> Any:
    """A dataclass field whose sentence the command line shows."""
    return dataclasses.field(default=default, metadata={"help": says, **metadata})


@dataclasses.dataclass
class ArgumentFields:
    """The fields. Steps are updates of the parameters; a number of steps below 1 is a share of the whole run."""

    output_dir: str | None = argument(None, "Where checkpoints go. Default: trainer_output.")
    overwrite_output_dir: bool = argument(False, "Read by scripts only.")
    do_train: bool = argument(False, "Read by scripts only.")
    do_eval: bool = argument(False, "Read by scripts only; set when eval_strategy is not 'no'.")
    do_predict: bool = argument(False, "Read by scripts only.")
    resume_from_checkpoint: str | None = argument(None, "Read by scripts only; pass it to train().")

    # batches and length of the run
    per_device_train_batch_size: int = argument(8, "Examples in a training batch of one process.")
    per_device_eval_batch_size: int = argument(8, "Examples in an evaluation batch of one process.")
    per_gpu_train_batch_size: int | None = argument(None, "Older name; wins over per_device_train_batch_size.")
    per_gpu_eval_batch_size: int | None = argument(None, "Older name; wins over per_device_eval_batch_size.")
    gradient_accumulation_steps: int = argument(1, "Batches whose gradients are added up for one step.")
    num_train_epochs: float = argument(3.0, "Passes over the data; 0.5 is half a pass.")
    max_steps: int = argument(-1, "If above 0: steps of the run, instead of num_train_epochs.")
    auto_find_batch_size: bool = argument(False, "Halve the batch and start again when memory does not suffice.")

    # learning rate and optimizer
    learning_rate: float = argument(5e-5, "The highest learning rate.")
    lr_scheduler_type: str = argument("linear", "Name of the learning-rate schedule.")
    lr_scheduler_kwargs: Any = argument(None, "Further arguments of the schedule, as JSON.")
    warmup_ratio: float = argument(0.0, "Share of the run in which the rate rises; warmup_steps wins over it.")
    warmup_steps: float = argument(0, "Steps in which the rate rises; below 1 a share of the run.")
    optim: str = argument("adamw_torch_fused", "Name of the optimizer.")
    optim_args: str | None = argument(None, "Further arguments of the optimizer: name=value,name=value.")
    optim_target_modules: None | str | list[str] = argument(None, "Not supported (GaLore, APOLLO).")
    weight_decay: float = argument(0.0, "Decay of all parameters but biases and norms.")
    adam_beta1: float = argument(0.9, "AdamW's decay of the mean of gradients.")
    adam_beta2: float = argument(0.999, "AdamW's decay of the mean of squared gradients.")
    adam_epsilon: float = argument(1e-8, "AdamW's epsilon.")
    max_grad_norm: float = argument(1.0, "Gradients are scaled down to this norm; 0 leaves them.")
    label_smoothing_factor: float = argument(0.0, "Share of the probability given to the other labels.")
    neftune_noise_alpha: float | None = argument(None, "Strength of the noise on word embeddings (NEFTune).")

    # numbers, memory, speed
    bf16: bool = argument(False, "Compute matrix products in bfloat16.")
    fp16: bool = argument(False, "Compute matrix products in float16; GPUs only.")
    bf16_full_eval: bool = argument(False, "Evaluate with weights in bfloat16; they come back afterwards.")
    fp16_full_eval: bool = argument(False, "Evaluate with weights in float16; GPUs only.")
    tf32: bool | None = argument(None, "TensorFloat-32 on Ampere and newer GPUs; unset leaves torch's choice.")
    fp16_opt_level: str = argument("O1", "No effect (apex).")
    half_precision_backend: str = argument("auto", "No effect.", choices=HALF_PRECISION_BACKENDS)
    fp16_backend: str = argument("auto", "No effect.", choices=HALF_PRECISION_BACKENDS)
    gradient_checkpointing: bool = argument(False, "Compute activations again instead of keeping them.")
    gradient_checkpointing_kwargs: dict | str | None = argument(None, "For gradient_checkpointing_enable, as JSON.")
    torch_compile: bool = argument(False, "Compile the model with torch.compile while it trains; GPUs only.")
    torch_compile_backend: str | None = argument(None, "Backend of torch.compile; turns it on.")
    torch_compile_mode: str | None = argument(None, "Mode of torch.compile; turns it on.")
    torch_empty_cache_steps: int | None = argument(None, "Empty the GPU's cache every so many steps.")
    use_cache: bool = argument(False, "Not supported (decoders).")
    use_liger_kernel: bool = argument(False, "Not supported.")
    liger_kernel_config: dict | None = argument(None, "Not supported.")
    jit_mode_eval: bool = argument(False, "Not supported.")

    # logging
    logging_strategy: IntervalStrategy | str = argument("steps", "When to log.")
    logging_steps: float = argument(500, "Steps between two logs.")
    logging_first_step: bool = argument(False, "Log the first step too.")
    logging_nan_inf_filter: bool = argument(
        True, "No effect: a loss that is not finite ends the run, and its examples are named."
    )
    logging_dir: str | None = argument(None, "Directory for TensorBoard. Default: runs in output_dir.")
    log_level: str = argument("passive", "Log level of the first process.", choices=LOG_LEVELS)
    log_level_replica: str = argument("warning", "Log level of the other processes.", choices=LOG_LEVELS)
    log_on_each_node: bool = argument(True, "The first process of each machine logs, not only the first of all.")
    disable_tqdm: bool | None = argument(None, "No progress bar.")
    report_to: None | str | list[str] = argument(None, "tensorboard, or none; all means none here.")
    run_name: str | None = argument(None, "Kept for programs that read it; TensorBoard shows logging_dir.")
    project: str = argument("huggingface", "No effect (Trackio).")
    trackio_space_id: str | None = argument("trackio", "No effect (Trackio).")
    include_tokens_per_second: bool = argument(
        False, "Add tokens per second, padding left out, to the figures of training."
    )
    include_num_input_tokens_seen: str | bool = argument("no", "Count tokens: all (with padding), non_padding or no.")
    skip_memory_metrics: bool = argument(True, "Must stay True: figures of memory are not measured.")

    # evaluation
    eval_strategy: IntervalStrategy | str = argument("no", "When to evaluate.")
    eval_steps: float | None = argument(None, "Steps between two evaluations. Default: logging_steps.")
    eval_delay: float = argument(0, "Steps or epochs, as eval_strategy counts, before the first evaluation.")
    eval_on_start: bool = argument(False, "Evaluate once before training.")
    eval_accumulation_steps: int | None = argument(None, "No effect: predictions move to the CPU after every batch.")
    eval_do_concat_batches: bool = argument(True, "Join the predictions of batches into one array.")
    eval_use_gather_object: bool = argument(False, "No effect: nested objects are always gathered.")
    prediction_loss_only: bool = argument(False, "Keep the loss only, not the predictions.")
    batch_eval_metrics: bool = argument(False, "Call compute_metrics on each batch.")
    include_for_metrics: list[str] = dataclasses.field(
        default_factory=list, metadata={"help": "What compute_metrics gets besides: inputs, loss."}
    )
    label_names: list[str] | None = argument(None, "Columns that are labels.")

    # checkpoints
    save_strategy: SaveStrategy | str = argument("steps", "When to write a checkpoint.")
    save_steps: float = argument(500, "Steps between two checkpoints.")
    save_total_limit: int | None = argument(None, "Checkpoints that are kept, the best one among them.")
    save_safetensors: bool = argument(True, "Weights are always safetensors.")
    save_on_each_node: bool = argument(False, "Write on each machine, not only on the first.")
    save_only_model: bool = argument(False, "Write the model only; such a checkpoint cannot be resumed.")
    load_best_model_at_end: bool = argument(False, "Keep the best checkpoint and load it at the end.")
    metric_for_best_model: str | None = argument(None, "The metric that compares models. Default: loss.")
    greater_is_better: bool | None = argument(None, "Whether that metric should grow. Default: unless it ends in loss.")
    ignore_data_skip: bool = argument(False, "Resume an epoch with its first rows.")
    restore_callback_states_from_checkpoint: bool = argument(False, "Resume the states of callbacks too.")
    enable_jit_checkpoint: bool = argument(False, "Not supported.")

    # data
    train_sampling_strategy: str = argument("random", "Order of the examples.", choices=SAMPLING_STRATEGIES)
    length_column_name: str = argument("length", "Column of lengths for group_by_length.")
    remove_unused_columns: bool = argument(True, "Leave out columns that the model does not take.")
    dataloader_drop_last: bool = argument(False, "Leave out the last batch if it is not full.")
    dataloader_num_workers: int = argument(0, "Processes that prepare batches; 0 is this one.")
    dataloader_pin_memory: bool = argument(True, "Prepare batches in pinned memory.")
    dataloader_persistent_workers: bool = argument(False, "No effect: they begin anew in every epoch.")
    dataloader_prefetch_factor: int | None = argument(None, "Batches that each of them prepares in advance.")

    # randomness, devices and processes
    seed: int = argument(42, "Seed of everything random.")
    data_seed: int | None = argument(None, "Seed of the order of the data. Default: seed.")
    full_determinism: bool = argument(False, "Deterministic operations only.")
    use_cpu: bool = argument(False, "Stay on the CPU even if there is a GPU.")
    use_mps_device: bool = argument(False, "No effect: Apple's GPU is used if it is there.")
    local_rank: int = argument(-1, "Number of this process on its machine.")
    ddp_backend: str | None = argument(None, "No effect: nccl on GPUs, gloo on CPUs.", choices=DDP_BACKENDS)
    ddp_timeout: int = argument(1800, "Seconds that processes wait for each other.")
    ddp_find_unused_parameters: bool | None = argument(None, "No effect: parameters may be unused.")
    ddp_bucket_cap_mb: int | None = argument(None, "No effect: gradients are summed in one piece.")
    ddp_broadcast_buffers: bool | None = argument(None, "No effect: buffers stay as each process has them.")
    average_tokens_across_devices: bool = argument(
        True, "Must stay True with several processes: the loss is the mean over all."
    )

    # known in the ecosystem; accepted at their defaults and refused otherwise
    accelerator_config: dict | str | None = argument(None, "Not supported.")
    parallelism_config: Any = argument(None, "Not supported.")
    deepspeed: dict | str | None = argument(None, "Not supported.")
    fsdp: None | str | list[str] = argument(None, "Not supported.")
    fsdp_config: dict | str | None = argument(None, "Not supported.")
    fsdp_min_num_params: int = argument(0, "Not supported.")
    fsdp_transformer_layer_cls_to_wrap: str | None = argument(None, "Not supported.")
    tpu_num_cores: int | None = argument(None, "Not supported.")
    tpu_metrics_debug: bool = argument(False, "Not supported.")
    debug: None | str | list[str] = argument("", "Not supported.")
    past_index: int = argument(-1, "Not supported.")
    use_legacy_prediction_loop: bool = argument(False, "No effect.")
    mp_parameters: str = argument("", "Not supported.")
    ray_scope: str | None = argument("last", "Not supported.")
    push_to_hub: bool = argument(False, "Not supported: nothing is uploaded.")
    hub_model_id: str | None = argument(None, "Not supported: nothing is uploaded.")
    hub_strategy: HubStrategy | str = argument("every_save", "Not supported: nothing is uploaded.")
    hub_token: str | None = argument(None, "Not supported: nothing is uploaded.")
    hub_private_repo: bool | None = argument(None, "Not supported: nothing is uploaded.")
    hub_always_push: bool = argument(False, "Not supported: nothing is uploaded.")
    hub_revision: str | None = argument(None, "Not supported: nothing is uploaded.")
    push_to_hub_model_id: str | None = argument(None, "Not supported: nothing is uploaded.")
    push_to_hub_organization: str | None = argument(None, "Not supported: nothing is uploaded.")
    push_to_hub_token: str | None = argument(None, "Not supported: nothing is uploaded.")
