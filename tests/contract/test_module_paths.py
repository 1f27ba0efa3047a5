"""Names come from the ecosystem's module paths, not only from the top: every line works there and here."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import bothways
from bothways.module_paths import PATHS

IMPORTS = """
modeling_outputs: BaseModelOutput BaseModelOutputWithPoolingAndCrossAttentions MaskedLMOutput
modeling_outputs: SequenceClassifierOutput TokenClassifierOutput QuestionAnsweringModelOutput
modeling_outputs: MultipleChoiceModelOutput NextSentencePredictorOutput CausalLMOutputWithCrossAttentions
modeling_outputs: Seq2SeqLMOutput Seq2SeqModelOutput
modeling_utils: PreTrainedModel
configuration_utils: PretrainedConfig
tokenization_utils_base: BatchEncoding PreTrainedTokenizerBase PaddingStrategy TruncationStrategy TensorType
tokenization_utils_base: AddedToken
tokenization_utils: PreTrainedTokenizer AddedToken
tokenization_utils_fast: PreTrainedTokenizerFast
trainer: Trainer TrainerCallback TrainerState TrainingArguments
trainer_utils: get_last_checkpoint EvalPrediction set_seed PredictionOutput TrainOutput EvalLoopOutput
trainer_utils: IntervalStrategy SchedulerType HubStrategy speed_metrics is_main_process
trainer_callback: TrainerCallback TrainerState TrainerControl EarlyStoppingCallback PrinterCallback ProgressCallback
trainer_callback: CallbackHandler DefaultFlowCallback
trainer_pt_utils: get_parameter_names
trainer_seq2seq: Seq2SeqTrainer
training_args: TrainingArguments ParallelMode
training_args_seq2seq: Seq2SeqTrainingArguments
hf_argparser: HfArgumentParser
optimization: AdamW get_linear_schedule_with_warmup get_scheduler Adafactor get_cosine_schedule_with_warmup
optimization: get_constant_schedule
pipelines.base: PipelineException KeyDataset Pipeline
activations: ACT2FN get_activation gelu gelu_new GELUActivation NewGELUActivation
trainer_pt_utils: LabelSmoother nested_concat nested_detach nested_numpify
trainer_utils: has_length denumpify_detensorize
trainer: TRAINING_ARGS_NAME TRAINER_STATE_NAME
pytorch_utils: apply_chunking_to_forward find_pruneable_heads_and_indices prune_linear_layer
file_utils: add_start_docstrings add_start_docstrings_to_model_forward add_code_sample_docstrings
utils: add_start_docstrings replace_return_docstrings
tokenization_utils_base: SpecialTokensMixin CharSpan TokenSpan
modeling_outputs: CausalLMOutput
models.bert.modeling_bert: BertEncoder BertLayer BertPooler BertEmbeddings BertOnlyMLMHead BertLMPredictionHead
models.roberta.modeling_roberta: RobertaClassificationHead RobertaLMHead RobertaEncoder RobertaLayer
cache_utils: DynamicCache
pytorch_utils: ALL_LAYERNORM_LAYERS
file_utils: ModelOutput is_torch_available CONFIG_NAME WEIGHTS_NAME
utils: ModelOutput logging is_torch_available is_datasets_available check_min_version send_example_telemetry
utils: PaddingStrategy WEIGHTS_NAME SAFE_WEIGHTS_NAME CONFIG_NAME
utils.logging: get_logger set_verbosity_error set_verbosity_info
utils.versions: require_version
utils.import_utils: is_torch_available is_vision_available
utils.generic: ModelOutput PaddingStrategy TensorType ExplicitEnum
data: DataCollatorWithPadding DataCollatorForLanguageModeling default_data_collator
data: DataCollatorForTokenClassification DataCollatorForSeq2Seq
data.data_collator: DataCollatorWithPadding DataCollatorForLanguageModeling default_data_collator
data.data_collator: DataCollatorForTokenClassification DataCollatorForSeq2Seq DataCollatorForWholeWordMask
data.processors.utils: InputExample InputFeatures
generation: GenerationConfig GenerationMixin LogitsProcessor LogitsProcessorList StoppingCriteria
generation: StoppingCriteriaList TextStreamer
generation.logits_process: LogitsProcessor LogitsProcessorList TopKLogitsWarper TemperatureLogitsWarper
generation.stopping_criteria: StoppingCriteria StoppingCriteriaList MaxLengthCriteria
generation.utils: GenerationMixin GenerateDecoderOnlyOutput
generation.configuration_utils: GenerationConfig
generation.streamers: TextStreamer TextIteratorStreamer
models.bart.modeling_bart: shift_tokens_right BartForConditionalGeneration
models.auto: AutoModel AutoConfig AutoTokenizer
models.auto.modeling_auto: AutoModel MODEL_FOR_MASKED_LM_MAPPING AutoModelForSequenceClassification
models.auto.configuration_auto: AutoConfig CONFIG_MAPPING
models.auto.tokenization_auto: AutoTokenizer
models.bert: BertModel BertConfig BertTokenizer BertForMaskedLM BertTokenizerFast
models.bert.modeling_bert: BertModel BertPreTrainedModel BertForSequenceClassification
models.bert.configuration_bert: BertConfig
models.bert.tokenization_bert: BertTokenizer
models.bert.tokenization_bert_fast: BertTokenizerFast
models.distilbert.modeling_distilbert: DistilBertModel DistilBertPreTrainedModel
models.roberta.modeling_roberta: RobertaModel RobertaForSequenceClassification
models.roberta: RobertaConfig RobertaTokenizerFast
models.albert.modeling_albert: AlbertModel
models.electra.modeling_electra: ElectraForPreTraining
models.gpt2.modeling_gpt2: GPT2LMHeadModel
models.gpt2: GPT2Tokenizer GPT2Config
models.t5.modeling_t5: T5ForConditionalGeneration
models.bart.modeling_bart: BartForConditionalGeneration
models.openai.modeling_openai: OpenAIGPTLMHeadModel
models.mbart50.tokenization_mbart50: MBart50Tokenizer
models.xlm_roberta: XLMRobertaTokenizer
pipelines: PIPELINE_REGISTRY pipeline Pipeline TextClassificationPipeline
pipelines.pt_utils: KeyDataset KeyPairDataset
pipelines.base: Pipeline
"""
LINES = [line.partition(": ") for line in IMPORTS.split("\n") if line]
NOT_THERE = {"optimization.AdamW", "utils.send_example_telemetry"}
"""Older programs import them; the installed version of the reference has them no more."""
NEEDS_MORE = {"models.mbart50.tokenization_mbart50"}
"""Modules that the reference has only with a package that is not installed."""


@pytest.mark.parametrize(("path", "names"), [(path, names.split()) for path, _, names in LINES])
def test_names_are_found_where_programs_look_for_them(path, names):
    own = importlib.import_module(f"bothways.{path}")
    for name in names:
        found = getattr(own, name)
        if name in bothways.__all__:
            assert found is getattr(bothways, name)
        if path not in NEEDS_MORE and f"{path}.{name}" not in NOT_THERE:
            assert hasattr(importlib.import_module(f"transformers.{path}"), name), name
    assert not hasattr(own, "NoSuchName")


def test_every_path_is_a_module():
    for path in PATHS:
        assert importlib.import_module(f"bothways.{path}").__name__ == f"bothways.{path}"


def test_what_is_not_there_is_said_as_usual():
    with pytest.raises(ImportError, match="cannot import name 'BertSelfAttention' from 'bothways.models.bert.modeling"):
        exec("from bothways.models.bert.modeling_bert import BertSelfAttention")
    with pytest.raises(ModuleNotFoundError, match="No module named 'bothways.models.gptj'"):
        importlib.import_module("bothways.models.gptj.modeling_gptj")
    with pytest.raises(AttributeError, match="module 'bothways.trainer' has no attribute 'Adam'"):
        importlib.import_module("bothways.trainer").Adam  # noqa: B018


def test_paths_are_attributes_of_the_library():
    code = "import bothways as all; all.utils.logging.set_verbosity_error(); all.modeling_outputs.MaskedLMOutput"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_paths_cost_nothing_before_they_are_asked_for():
    code = (
        "import sys, bothways; import bothways.modeling_outputs, bothways.utils, bothways.trainer_utils; "
        "assert 'torch' not in sys.modules; from bothways.utils import is_torch_available; assert is_torch_available()"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_outputs_for_own_classes_have_the_fields_of_the_reference():
    import transformers.modeling_outputs as reference

    from bothways.models import outputs

    names = [name for name in vars(outputs) if name.endswith(("Output", "WithPast", "Attentions", "Pooling"))]
    shared = [name for name in names if hasattr(reference, name) and name != "ModelOutput"]
    assert len(shared) > 15
    for name in shared:
        assert list(getattr(outputs, name)().__dataclass_fields__) == list(
            getattr(reference, name)().__dataclass_fields__
        )
