"""Named entities as tutorials write them: the pipeline, its strategies, and by hand."""

TEXT = "My name is Anna Berg and I work at Apple in New York."


def entities_as_tokens(models):
    from transformers import pipeline

    ner = pipeline("ner", model=f"{models}/bert-large-ner")
    return [{**entity, "score": float(entity["score"])} for entity in ner(TEXT)]


def grouped_entities(models):
    from transformers import pipeline

    ner = pipeline("ner", model=f"{models}/bert-large-ner", grouped_entities=True)
    return [(e["entity_group"], e["word"], e["start"], e["end"], f"{e['score']:.4f}") for e in ner(TEXT)]


def simple_aggregation_of_several_texts(models):
    from transformers import pipeline

    token_classifier = pipeline("token-classification", model=f"{models}/bert-large-ner", aggregation_strategy="simple")
    return [
        [{key: entity[key] for key in ("entity_group", "word", "start", "end")} for entity in row]
        for row in token_classifier([TEXT, "Sylvain lives in Paris", "no"])
    ]


def every_strategy(models):
    from transformers import AutoModelForTokenClassification, AutoTokenizer, pipeline

    model = AutoModelForTokenClassification.from_pretrained(f"{models}/bert-large-ner")
    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-large-ner")
    found = {}
    for strategy in ("none", "simple", "first", "average", "max"):
        nlp = pipeline("ner", model=model, tokenizer=tokenizer, aggregation_strategy=strategy)
        found[strategy] = [(e["word"], e["start"], e["end"], round(float(e["score"]), 4)) for e in nlp(TEXT)]
    return found


def strategy_by_its_enumeration(models):
    from transformers import pipeline
    from transformers.pipelines import AggregationStrategy

    nlp = pipeline("ner", model=f"{models}/bert-large-ner", aggregation_strategy=AggregationStrategy.FIRST)
    return [(e["entity_group"], e["word"]) for e in nlp("Clara wrote to Peter Lind in Berlin.")]


def no_label_ignored(models):
    from transformers import pipeline

    nlp = pipeline("token-classification", model=f"{models}/bert-large-ner", ignore_labels=[])
    return [(e["index"], e["word"], e["entity"]) for e in nlp("Clara lives in Lindberg")]


def some_labels_ignored(models):
    from transformers import pipeline

    nlp = pipeline("ner", model=f"{models}/bert-large-ner", ignore_labels=["O", "B-LOC", "I-LOC"])
    return [(e["word"], e["entity"]) for e in nlp(TEXT)]


def characters_cut_out_of_the_text(models):
    from transformers import pipeline

    nlp = pipeline("ner", model=f"{models}/bert-large-ner", aggregation_strategy="max", device=-1)
    redacted = TEXT
    for entity in reversed(nlp(TEXT)):
        redacted = redacted[: entity["start"]] + f"[{entity['entity_group']}]" + redacted[entity["end"] :]
    return redacted


def several_languages(models):
    from transformers import pipeline

    nlp = pipeline("ner", model=f"{models}/xlm-roberta-ner")
    return [(e["entity"], e["word"], e["index"]) for e in nlp("Le gardien du phare écrivait une lettre chaque soir")]


def labels_by_hand(models):
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    model = AutoModelForTokenClassification.from_pretrained(f"{models}/bert-large-ner")
    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-large-ner")
    inputs = tokenizer(TEXT, return_tensors="pt")
    tokens = inputs.tokens()
    outputs = model(**inputs).logits
    predictions = torch.argmax(outputs, dim=2)
    return [(token, model.config.id2label[p]) for token, p in zip(tokens, predictions[0].tolist(), strict=True)]


def older_way_to_tokens(models):
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    model = AutoModelForTokenClassification.from_pretrained(f"{models}/bert-large-ner")
    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-large-ner")
    tokens = tokenizer.tokenize(tokenizer.decode(tokenizer.encode(TEXT)))
    inputs = tokenizer.encode(TEXT, return_tensors="pt")
    outputs = model(inputs)[0]
    predictions = torch.argmax(outputs, dim=2)
    return [(t, model.config.id2label[int(p)]) for t, p in zip(tokens, predictions[0].numpy(), strict=False)]


def grouping_by_hand(models):
    """The course's own loop over offsets."""
    import numpy as np
    import torch
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-large-ner")
    model = AutoModelForTokenClassification.from_pretrained(f"{models}/bert-large-ner")
    outputs = model(**tokenizer(TEXT, return_tensors="pt"))
    probabilities = torch.nn.functional.softmax(outputs.logits, dim=-1)[0].tolist()
    predictions = outputs.logits.argmax(dim=-1)[0].tolist()
    inputs_with_offsets = tokenizer(TEXT, return_offsets_mapping=True)
    offsets = inputs_with_offsets["offset_mapping"]
    results, idx = [], 0
    while idx < len(predictions):
        label = model.config.id2label[predictions[idx]]
        if label != "O":
            label = label[2:]
            start, end = offsets[idx]
            all_scores = []
            while idx < len(predictions) and model.config.id2label[predictions[idx]] == f"I-{label}":
                all_scores.append(probabilities[idx][predictions[idx]])
                _, end = offsets[idx]
                idx += 1
            score = np.mean(all_scores).item() if all_scores else 0.0
            results.append({"entity_group": label, "score": score, "word": TEXT[start:end], "start": start, "end": end})
        idx += 1
    return results


def labels_aligned_with_words(models):
    """``tokenize_and_align_labels`` of the token classification guide."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-base-uncased")
    examples = {
        "tokens": [["Anna", "Lindberg", "eats", "in", "London", "."], ["Applelind", "won"]],
        "ner_tags": [[1, 2, 0, 0, 3, 0], [5, 0]],
    }
    tokenized_inputs = tokenizer(examples["tokens"], truncation=True, is_split_into_words=True)
    labels = []
    for i, label in enumerate(examples["ner_tags"]):
        word_ids = tokenized_inputs.word_ids(batch_index=i)
        previous_word_idx = None
        label_ids = []
        for word_idx in word_ids:
            if word_idx is None:
                label_ids.append(-100)
            elif word_idx != previous_word_idx:
                label_ids.append(label[word_idx])
            else:
                label_ids.append(-100)
            previous_word_idx = word_idx
        labels.append(label_ids)
    tokenized_inputs["labels"] = labels
    return dict(tokenized_inputs)


def words_of_a_byte_level_tokenizer(models):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilroberta-base", add_prefix_space=True)
    encoding = tokenizer(["The", "lighthouse", "keeper", "wrote"], is_split_into_words=True)
    return encoding.word_ids(), encoding.tokens(), [encoding.word_to_tokens(i).start for i in range(4)]
