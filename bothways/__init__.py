"""Bothways: language models that read in both directions.

Public names are imported when first used, so that ``import bothways`` costs milliseconds.
"""

from __future__ import annotations

import importlib
from typing import Any

from bothways import module_paths

__version__ = "0.1.0"

_BERT = (
    "BertPreTrainedModel",
    "BertModel",
    "BertForPreTraining",
    "BertForMaskedLM",
    "BertLMHeadModel",
    "BertForNextSentencePrediction",
    "BertForSequenceClassification",
    "BertForTokenClassification",
    "BertForQuestionAnswering",
    "BertForMultipleChoice",
)
_ENCODER = (
    *("PreTrainedModel", "Model", "ForMaskedLM", "ForSequenceClassification", "ForTokenClassification"),
    *("ForQuestionAnswering", "ForMultipleChoice"),
)
_READER = (
    *("PreTrainedModel", "Model", "ForSequenceClassification", "ForTokenClassification", "ForQuestionAnswering"),
)
_TRANSLATOR = (
    *("PreTrainedModel", "Model", "ForConditionalGeneration", "ForSequenceClassification", "ForQuestionAnswering"),
)
_AUTO = (
    "AutoConfig",
    "AutoModel",
    "AutoModelForCausalLM",
    "AutoModelForSeq2SeqLM",
    *("AutoModelForPreTraining", "AutoModelWithLMHead"),
    "AutoModelForMaskedLM",
    "AutoModelForNextSentencePrediction",
    "AutoModelForSequenceClassification",
    "AutoModelForTokenClassification",
    "AutoModelForQuestionAnswering",
    "AutoModelForMultipleChoice",
)
_TOKENIZERS = (
    "AutoTokenizer",
    "BatchEncoding",
    *("CharSpan", "TokenSpan"),
    "BertTokenizer",
    "BertTokenizerFast",
    "PreTrainedTokenizerBase",
    "PreTrainedTokenizerFast",
    "AlbertTokenizer",
    "AlbertTokenizerFast",
    "CamembertTokenizer",
    "CamembertTokenizerFast",
    "DistilBertTokenizer",
    "DistilBertTokenizerFast",
    "ElectraTokenizer",
    "ElectraTokenizerFast",
    "RobertaTokenizer",
    "RobertaTokenizerFast",
    "XLMRobertaTokenizer",
    "XLMRobertaTokenizerFast",
    "BartTokenizer",
    "BartTokenizerFast",
    "GPT2Tokenizer",
    "GPT2TokenizerFast",
    "LlamaTokenizer",
    "LlamaTokenizerFast",
    "MBart50Tokenizer",
    "MBart50TokenizerFast",
    "MBartTokenizer",
    "MBartTokenizerFast",
    "MarianTokenizer",
    "OpenAIGPTTokenizer",
    "OpenAIGPTTokenizerFast",
    "PegasusTokenizer",
    "PegasusTokenizerFast",
    "T5Tokenizer",
    "T5TokenizerFast",
)
_TRAINER_ARGUMENTS = ("TrainingArguments", "Seq2SeqTrainingArguments")
_CALLBACKS = (
    *("TrainerCallback", "DefaultFlowCallback", "EarlyStoppingCallback", "PrinterCallback", "ProgressCallback"),
    *("TrainerState", "TrainerControl"),
)
_SCHEDULES = (
    "get_scheduler",
    "get_constant_schedule",
    "get_constant_schedule_with_warmup",
    "get_cosine_schedule_with_warmup",
    "get_cosine_with_hard_restarts_schedule_with_warmup",
    "get_cosine_with_min_lr_schedule_with_warmup",
    "get_cosine_with_min_lr_schedule_with_warmup_lr_rate",
    "get_inverse_sqrt_schedule",
    "get_linear_schedule_with_warmup",
    "get_polynomial_decay_schedule_with_warmup",
    "get_reduce_on_plateau_schedule",
    "get_wsd_schedule",
)
_COLLATORS = (
    "DataCollator",
    "DataCollatorForMultipleChoice",
    "DataCollatorForSeq2Seq",
    "DataCollatorForTokenClassification",
    "DataCollatorWithPadding",
    "DefaultDataCollator",
    "default_data_collator",
)
_OBJECTIVE_COLLATORS = (
    *("DataCollatorForPermutationLanguageModeling", "DataCollatorForSOP", "DataCollatorForSpanCorruption"),
)
_TEXT_DATASETS = (
    *("LineByLineTextDataset", "LineByLineWithSOPTextDataset", "TextDataset"),
    "TextDatasetForNextSentencePrediction",
)

_GENERATION = {
    "configuration": ("GenerationConfig", "GenerationMode"),
    "processor": ("LogitsProcessor", "LogitsProcessorList", "LogitsWarper"),
    "warpers": (
        *("EpsilonLogitsWarper", "EtaLogitsWarper", "InfNanRemoveLogitsProcessor", "LogitNormalization"),
        *("MinPLogitsWarper", "TemperatureLogitsWarper", "TopKLogitsWarper", "TopPLogitsWarper", "TypicalLogitsWarper"),
    ),
    "lengths": (
        *("ExponentialDecayLengthPenalty", "ForcedBOSTokenLogitsProcessor", "ForcedEOSTokenLogitsProcessor"),
        *("MinLengthLogitsProcessor", "MinNewTokensLengthLogitsProcessor"),
        *("SuppressTokensAtBeginLogitsProcessor", "SuppressTokensLogitsProcessor"),
    ),
    "repetition": (
        *("EncoderNoRepeatNGramLogitsProcessor", "EncoderRepetitionPenaltyLogitsProcessor"),
        *("NoBadWordsLogitsProcessor", "NoRepeatNGramLogitsProcessor"),
        *("RepetitionPenaltyLogitsProcessor", "SequenceBiasLogitsProcessor"),
    ),
    "guidance": (
        *("HammingDiversityLogitsProcessor", "PrefixConstrainedLogitsProcessor"),
        "UnbatchedClassifierFreeGuidanceLogitsProcessor",
    ),
    "stopping": (
        *("ConfidenceCriteria", "EosTokenCriteria", "MaxLengthCriteria", "MaxTimeCriteria", "StopStringCriteria"),
        *("StoppingCriteria", "StoppingCriteriaList"),
    ),
    "streamers": ("AsyncTextIteratorStreamer", "BaseStreamer", "TextIteratorStreamer", "TextStreamer"),
    "constraints": ("Constraint", "ConstraintListState", "DisjunctiveConstraint", "PhrasalConstraint"),
    "generate": ("GenerationMixin",),
    "outputs": (
        *("GenerateBeamDecoderOnlyOutput", "GenerateBeamEncoderDecoderOutput"),
        *("GenerateDecoderOnlyOutput", "GenerateEncoderDecoderOutput"),
    ),
}

_MAPPINGS = (
    *("CONFIG_MAPPING", "MODEL_MAPPING", "MODEL_FOR_PRETRAINING_MAPPING", "MODEL_FOR_CAUSAL_LM_MAPPING"),
    *("MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING", "MODEL_FOR_MASKED_LM_MAPPING"),
    *("MODEL_FOR_NEXT_SENTENCE_PREDICTION_MAPPING", "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING"),
    *("MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING", "MODEL_FOR_QUESTION_ANSWERING_MAPPING"),
    "MODEL_FOR_MULTIPLE_CHOICE_MAPPING",
)
_SMALL_NAMES = (
    *("CONFIG_NAME", "WEIGHTS_NAME"),
    *("AddedToken", "InputExample", "InputFeatures", "PreTrainedTokenizer", "TensorType"),
    *("is_datasets_available", "is_flax_available", "is_tf_available", "is_tokenizers_available"),
    *("is_torch_available", "is_torch_xla_available"),
)

_WHERE: dict[str, str] = {
    **dict.fromkeys(_BERT, "bothways.models.bert"),
    **{f"Albert{name}": "bothways.models.albert" for name in (*_ENCODER, "ForPreTraining")},
    **{f"Electra{name}": "bothways.models.electra" for name in (*_ENCODER, "ForCausalLM", "ForPreTraining")},
    **{f"DistilBert{name}": "bothways.models.distilbert" for name in _ENCODER},
    **{f"Roberta{name}": "bothways.models.roberta" for name in (*_ENCODER, "ForCausalLM")},
    **{f"XLMRoberta{name}": "bothways.models.xlm_roberta" for name in (*_ENCODER, "ForCausalLM")},
    **{f"Camembert{name}": "bothways.models.camembert" for name in (*_ENCODER, "ForCausalLM")},
    **{f"ModernBert{name}": "bothways.models.modernbert" for name in _ENCODER},
    **{f"GPT2{name}": "bothways.models.gpt2" for name in (*_READER, "LMHeadModel", "DoubleHeadsModel")},
    **{f"Llama{name}": "bothways.models.llama" for name in (*_READER, "ForCausalLM")},
    **{f"Mistral{name}": "bothways.models.mistral" for name in (*_READER, "ForCausalLM")},
    **{f"OpenAIGPT{name}": "bothways.models.openai_gpt" for name in (*_READER[:3], "LMHeadModel", "DoubleHeadsModel")},
    **{f"Bart{name}": "bothways.models.bart" for name in _TRANSLATOR},
    **{f"MBart{name}": "bothways.models.mbart" for name in _TRANSLATOR},
    **{
        f"Pegasus{name}": "bothways.models.pegasus" for name in ("Model", "PreTrainedModel", "ForConditionalGeneration")
    },
    **{f"Marian{name}": "bothways.models.marian" for name in ("Model", "PreTrainedModel", "MTModel")},
    **{f"T5{name}": "bothways.models.t5" for name in (*_READER, "ForConditionalGeneration", "EncoderModel")},
    **dict.fromkeys((*_AUTO, *_MAPPINGS), "bothways.models.auto"),
    "DynamicCache": "bothways.models.past",
    **dict.fromkeys(("SpecialTokensMixin",), "bothways.small_functions"),
    **dict.fromkeys(_SMALL_NAMES, "bothways.small_names"),
    **dict.fromkeys(_TOKENIZERS, "bothways.tokenizers"),
    **{name: f"bothways.generation.{module}" for module, names in _GENERATION.items() for name in names},
    **dict.fromkeys(_SCHEDULES, "bothways.engine.schedules"),
    **dict.fromkeys(_COLLATORS, "bothways.trainer.collators"),
    **dict.fromkeys(("DataCollatorForLanguageModeling", "DataCollatorForWholeWordMask"), "bothways.trainer.masking"),
    **dict.fromkeys(_OBJECTIVE_COLLATORS, "bothways.trainer.objective_collators"),
    **dict.fromkeys(_TEXT_DATASETS, "bothways.trainer.text_datasets"),
    **dict.fromkeys(_TRAINER_ARGUMENTS, "bothways.trainer.arguments"),
    **dict.fromkeys(_CALLBACKS, "bothways.trainer.callbacks"),
    **dict.fromkeys(("EvalPrediction", "IntervalStrategy"), "bothways.trainer.outputs"),
    "HfArgumentParser": "bothways.trainer.argument_parser",
    "SchedulerType": "bothways.engine.names",
    "AdamW": "bothways.engine.optimizers",
    "Adafactor": "bothways.engine.optimizers",
    "Trainer": "bothways.trainer.trainer",
    "Seq2SeqTrainer": "bothways.trainer.seq2seq",
    "set_seed": "bothways.engine.seeds",
    "enable_full_determinism": "bothways.trainer.outputs",
    "train": "bothways.training",
    "calibrate": "bothways.training.calibrating",
    **dict.fromkeys(("audit", "clean_part"), "bothways.evaluation.audit"),
    "compare_models": "bothways.comparing.compare",
    "diff_models": "bothways.comparing.diff",
    "advise": "bothways.comparing.advise",
    "train_tokenizer": "bothways.tokenizers.new_tokenizer",
    "pretrain": "bothways.pretraining",
    **dict.fromkeys(("build_shards", "open_shards"), "bothways.corpus"),
    "pipeline": "bothways.pipelines",
    "Pipeline": "bothways.pipelines.base",
    "TextClassificationPipeline": "bothways.pipelines.text_classification",
    "TokenClassificationPipeline": "bothways.pipelines.token_classification",
    "NerPipeline": "bothways.pipelines.token_classification",
    "AggregationStrategy": "bothways.tasks.entity_groups",
    "FillMaskPipeline": "bothways.pipelines.fill_mask",
    "MultipleChoicePipeline": "bothways.pipelines.multiple_choice",
    "NextSentencePipeline": "bothways.pipelines.next_sentence",
    "QuestionAnsweringPipeline": "bothways.pipelines.question_answering",
    "SummarizationPipeline": "bothways.pipelines.summarization",
    "Text2TextGenerationPipeline": "bothways.pipelines.text2text",
    "TextGenerationPipeline": "bothways.pipelines.text_generation",
    "TranslationPipeline": "bothways.pipelines.translation",
    "ZeroShotClassificationPipeline": "bothways.pipelines.zero_shot",
    "FeatureExtractionPipeline": "bothways.pipelines.feature_extraction",
    **dict.fromkeys(("Explanation", "explain"), "bothways.evaluation.attribution"),
    **dict.fromkeys(("render_answer", "render_entities"), "bothways.evaluation.views"),
    "Embedder": "bothways.models.embedding",
    "cos_sim": "bothways.tasks.similarity",
    "semantic_search": "bothways.tasks.similarity",
    "PipelineException": "bothways.errors",
    "PreTrainedModel": "bothways.models.base",
    "add_lora": "bothways.models.adapters",
    "save_adapter": "bothways.models.adapters",
    "shared_model": "bothways.models.shared_encoder",
    "MixedRunner": "bothways.models.mixed_batch",
    "TaskRow": "bothways.models.mixed_batch",
    "PretrainedConfig": "bothways.checkpoints.config",
    "BertConfig": "bothways.families.bert",
    "AlbertConfig": "bothways.families.albert",
    "ElectraConfig": "bothways.families.electra",
    "DistilBertConfig": "bothways.families.distilbert",
    "RobertaConfig": "bothways.families.roberta",
    "XLMRobertaConfig": "bothways.families.xlm_roberta",
    "CamembertConfig": "bothways.families.camembert",
    "ModernBertConfig": "bothways.families.modernbert",
    "GPT2Config": "bothways.families.gpt2",
    "LlamaConfig": "bothways.families.llama",
    "MistralConfig": "bothways.families.mistral",
    "OpenAIGPTConfig": "bothways.families.openai_gpt",
    "T5Config": "bothways.families.t5",
    "BartConfig": "bothways.families.bart",
    "MBartConfig": "bothways.families.mbart",
    "PegasusConfig": "bothways.families.pegasus",
    "MarianConfig": "bothways.families.marian",
}

_PACKAGES = ("explore", "logging")
"""Modules whose functions are called by their name: ``bothways.explore.word(...)``."""

__all__ = ["__version__", *sorted(_WHERE)]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES or name in module_paths.PATHS:
        return importlib.import_module(f"bothways.{name}")
    if name not in _WHERE:
        raise AttributeError(f"module 'bothways' has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


module_paths.install()
