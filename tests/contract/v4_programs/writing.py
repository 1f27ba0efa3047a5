"""Text generation, summaries and translations as tutorials write them."""

ARTICLE = (
    "The keeper of the lighthouse was born in Berlin. He writes about the weather every evening, and about the ships. "
    "In the morning he eats an apple. His dog is not good at music."
)


def five_continuations(models):
    from transformers import pipeline, set_seed

    generator = pipeline("text-generation", model=f"{models}/gpt2")
    set_seed(42)
    return generator("Hello, I'm a language model,", max_new_tokens=12, num_return_sequences=5)


def likeliest_words_only(models):
    from transformers import pipeline

    generator = pipeline("text-generation", model=f"{models}/gpt2", device=-1)
    return generator("The keeper is", do_sample=False, max_new_tokens=10, return_full_text=False)


def several_prompts_with_a_padding_token(models):
    from transformers import pipeline

    generator = pipeline("text-generation", model=f"{models}/gpt2")
    prompts = ["The keeper", "A dog and an apple are", "Berlin"]
    return generator(prompts, do_sample=False, max_new_tokens=8, pad_token_id=generator.tokenizer.eos_token_id)


def beams_without_repetition(models):
    from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/gpt2")
    model = AutoModelForCausalLM.from_pretrained(f"{models}/gpt2")
    generator = pipeline("text-generation", model=model, tokenizer=tokenizer)
    return generator(
        "My dog",
        do_sample=False,
        num_beams=4,
        num_return_sequences=2,
        no_repeat_ngram_size=2,
        early_stopping=True,
        max_new_tokens=10,
    )


def class_of_the_pipeline(models):
    from transformers import GPT2LMHeadModel, GPT2TokenizerFast, TextGenerationPipeline

    model = GPT2LMHeadModel.from_pretrained(f"{models}/gpt2")
    tokenizer = GPT2TokenizerFast.from_pretrained(f"{models}/gpt2")
    generator = TextGenerationPipeline(model=model, tokenizer=tokenizer)
    return generator("My dog", do_sample=False, max_new_tokens=6)


def settings_when_it_is_made(models):
    from transformers import pipeline

    generator = pipeline("text-generation", f"{models}/gpt2", max_new_tokens=7, do_sample=False, return_full_text=False)
    return generator("An apple"), generator("An apple", max_new_tokens=3), generator.task


def stream_of_prompts(models):
    from transformers import pipeline

    generator = pipeline("text-generation", model=f"{models}/gpt2")
    prompts = (f"The {word}" for word in ["dog", "cat", "keeper"])
    return [out[0]["generated_text"] for out in generator(prompts, max_new_tokens=5, do_sample=False)]


def token_ids(models):
    from transformers import pipeline

    generator = pipeline("text-generation", model=f"{models}/gpt2")
    return generator("The keeper", max_new_tokens=5, do_sample=False, return_tensors=True)


def prefix_and_a_long_prompt(models):
    from transformers import pipeline

    generator = pipeline("text-generation", model=f"{models}/gpt2")
    short = generator("the dog", prefix="Once: ", do_sample=False, max_new_tokens=5)
    cut = generator(ARTICLE, handle_long_generation="hole", do_sample=False, max_new_tokens=6, return_full_text=False)
    return short, cut


def until_a_token(models):
    from transformers import pipeline

    generator = pipeline("text-generation", model=f"{models}/gpt2")
    return generator("The keeper", stop_sequence=" the", do_sample=False, max_new_tokens=9)


def settings_as_an_object(models):
    from transformers import GenerationConfig, pipeline

    generator = pipeline("text-generation", model=f"{models}/gpt2")
    settings = GenerationConfig(max_new_tokens=6, num_beams=2, repetition_penalty=1.3)
    return generator("The keeper", generation_config=settings)


def with_scores(models):
    from transformers import pipeline

    generator = pipeline("text-generation", model=f"{models}/gpt2")
    (record,) = generator(
        "The keeper", do_sample=False, max_new_tokens=3, return_dict_in_generate=True, output_scores=True
    )
    return record["generated_text"], len(record["scores"]), [max(step) for step in record["scores"]]


def printed_while_it_is_written(models):
    from transformers import AutoModelForCausalLM, AutoTokenizer, TextStreamer, pipeline

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/gpt2")
    model = AutoModelForCausalLM.from_pretrained(f"{models}/gpt2")
    streamer = TextStreamer(tokenizer, skip_prompt=True)
    generator = pipeline("text-generation", model=model, tokenizer=tokenizer, streamer=streamer)
    return generator("The keeper", do_sample=False, max_new_tokens=5)


def refused_together(models):
    from transformers import pipeline

    generator = pipeline("text-generation", model=f"{models}/gpt2")
    refused = []
    for options in (
        {"return_full_text": True, "return_text": True},
        {"return_full_text": False, "return_tensors": True},
        {"return_text": True, "return_tensors": True},
        {"handle_long_generation": "hols"},
    ):
        try:
            generator("The keeper", **options)
        except ValueError:
            refused.append(sorted(options))
    return refused


def question_for_a_model_of_texts(models):
    from transformers import pipeline

    text2text = pipeline("text2text-generation", model=f"{models}/t5-small")
    return text2text("question: What is 42 ? context: 42 is the answer to life", max_new_tokens=12)


def several_texts(models):
    from transformers import pipeline

    text2text = pipeline("text2text-generation", model=f"{models}/t5-small", max_new_tokens=8)
    return text2text(["The dog is big.", "An apple"]), text2text(["An apple"]), text2text("An apple")


def several_answers(models):
    from transformers import pipeline

    text2text = pipeline("text2text-generation", model=f"{models}/t5-small", max_new_tokens=8)
    return text2text("The dog", num_return_sequences=3), text2text(["The dog", "a cat"], num_return_sequences=2)


def ids_of_an_answer(models):
    from transformers import pipeline

    text2text = pipeline("text2text-generation", model=f"{models}/t5-small", max_new_tokens=6)
    return [list(map(int, record["generated_token_ids"])) for record in text2text("The dog", return_tensors=True)]


def summary_of_an_article(models):
    from transformers import pipeline

    summarizer = pipeline("summarization", model=f"{models}/bart-large-cnn")
    return summarizer(ARTICLE, max_length=20, min_length=5, do_sample=False)


def summary_with_the_settings_of_the_checkpoint(models):
    from transformers import pipeline

    summarizer = pipeline("summarization", model=f"{models}/bart-large-cnn")
    return summarizer([ARTICLE, ARTICLE[:60]])[1]["summary_text"], summarizer(ARTICLE, truncation=True)


def summary_with_a_prefix(models):
    from transformers import pipeline

    summarizer = pipeline("summarization", model=f"{models}/t5-small", tokenizer=f"{models}/t5-small")
    return summarizer(ARTICLE[:50], min_length=4, max_new_tokens=10)


def translation_of_one_pair(models):
    from transformers import pipeline

    translator = pipeline("translation_en_to_de", model=f"{models}/t5-small")
    return translator("How old are you?", max_new_tokens=10), translator.task


def translation_without_languages(models):
    from transformers import pipeline

    translator = pipeline("translation", model=f"{models}/t5-small")
    return translator(["How old are you?", "My dog"], max_new_tokens=10), translator.task


def translation_into_a_named_language(models):
    from transformers import pipeline

    translator = pipeline("translation", model=f"{models}/mbart-large-cc25", max_new_tokens=6)
    return translator("My dog", src_lang="en_XX", tgt_lang="ro_RO"), translator(
        "My dog", src_lang="de_DE", tgt_lang="fr_XX"
    )


def translation_of_a_named_model(models):
    from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, TranslationPipeline

    model = AutoModelForSeq2SeqLM.from_pretrained(f"{models}/t5-small")
    tokenizer = AutoTokenizer.from_pretrained(f"{models}/t5-small")
    translator = TranslationPipeline(model=model, tokenizer=tokenizer, task="translation_en_to_fr")
    return translator("My dog", max_new_tokens=5)


def languages_that_are_missing(models):
    from transformers import pipeline

    translator = pipeline("translation", model=f"{models}/mbart-large-cc25")
    try:
        translator("My dog")
    except ValueError:
        return "refused"


def task_that_does_not_exist(models):
    from transformers import pipeline

    try:
        pipeline("translation_en_de", model=f"{models}/t5-small")
    except KeyError:
        return "refused"
