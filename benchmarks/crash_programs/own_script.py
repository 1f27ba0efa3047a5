"""A training program as people write it: it looks for a checkpoint, trains, and saves.

    python own_script.py LIBRARY OUTPUT_DIR [last|newest]

``last`` names the checkpoint that ``get_last_checkpoint`` finds; ``newest`` asks for it with ``True``. Nothing but the
name of the library differs between this library and the reference. The environment's DIES=RANK:STEP kills a process.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys

import torch

STEPS, SAVE_STEPS = 12, 4


def main(library: str, output: str, how: str = "last") -> None:
    lib = importlib.import_module(library)
    last_of = importlib.import_module(f"{library}.trainer_utils" if library == "transformers" else f"{library}.trainer")

    class Speaker(lib.TrainerCallback):
        def on_train_begin(self, args, state, control, **more):
            print(f"training begins at step {state.global_step}", flush=True)

        def on_step_end(self, args, state, control, **more):
            if os.environ.get("DIES") == f"{os.environ.get('RANK', 0)}:{state.global_step}":
                os.kill(os.getpid(), signal.SIGKILL)

    torch.manual_seed(0)
    config = lib.BertConfig(
        vocab_size=40,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=16,
    )
    args = lib.TrainingArguments(
        output_dir=output,
        max_steps=STEPS,
        save_steps=SAVE_STEPS,
        logging_steps=2,
        per_device_train_batch_size=4,
        learning_rate=1e-2,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        ddp_timeout=60,
    )
    trainer = lib.Trainer(
        model=lib.BertForSequenceClassification(config), args=args, train_dataset=rows(), callbacks=[Speaker()]
    )
    last = last_of.get_last_checkpoint(output) if os.path.isdir(output) else None
    trainer.train(resume_from_checkpoint=last is not None if how == "newest" else last)
    trainer.save_model(os.path.join(output, "final"))
    if "RANK" in os.environ:
        torch.distributed.destroy_process_group()


def rows() -> list[dict]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 40, (24, 8), generator=generator)
    return [{"input_ids": row, "labels": row[0] % 2} for row in ids]


if __name__ == "__main__":
    main(*sys.argv[1:])
