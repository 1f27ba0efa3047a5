"""Masked words, vectors, next sentences and choices as tutorials write them."""


def one_masked_word(models):
    from transformers import pipeline

    unmasker = pipeline("fill-mask", model=f"{models}/bert-base-uncased")
    return unmasker("Paris is the [MASK] of France.")


def best_two_with_another_mask_token(models):
    from transformers import pipeline

    unmasker = pipeline("fill-mask", model=f"{models}/distilroberta-base")
    return unmasker(f"The keeper wrote a {unmasker.tokenizer.mask_token} every evening.", top_k=2)


def several_masks(models):
    from transformers import pipeline

    unmasker = pipeline("fill-mask", model=f"{models}/bert-base-uncased", top_k=3)
    return unmasker("The [MASK] of France is [MASK].")


def several_texts(models):
    from transformers import pipeline

    unmasker = pipeline("fill-mask", model=f"{models}/distilbert-base-uncased", device=-1)
    return unmasker(["I love [MASK].", "My [MASK] eats apples."]), unmasker(["I love [MASK]."])


def chosen_targets(models):
    from transformers import pipeline

    unmasker = pipeline("fill-mask", model=f"{models}/bert-base-uncased")
    results = unmasker("She works as a [MASK].", targets=["cat", "dog", "team"])
    return sorted((r["token_str"], r["token"], round(r["score"], 6)) for r in results)


def french_words(models):
    from transformers import CamembertForMaskedLM, CamembertTokenizerFast, pipeline

    tokenizer = CamembertTokenizerFast.from_pretrained(f"{models}/camembert-base")
    model = CamembertForMaskedLM.from_pretrained(f"{models}/camembert-base")
    fill = pipeline("fill-mask", model=model, tokenizer=tokenizer)
    return [(r["token_str"], r["score"]) for r in fill("Le gardien écrivait une <mask> :)")]


def best_words_by_hand(models):
    import torch
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-base-uncased")
    model = AutoModelForMaskedLM.from_pretrained(f"{models}/distilbert-base-uncased")
    text = f"This is a great {tokenizer.mask_token}."
    inputs = tokenizer(text, return_tensors="pt")
    token_logits = model(**inputs).logits
    mask_token_index = torch.where(inputs["input_ids"] == tokenizer.mask_token_id)[1]
    mask_token_logits = token_logits[0, mask_token_index, :]
    top_5_tokens = torch.topk(mask_token_logits, 5, dim=1).indices[0].tolist()
    return [text.replace(tokenizer.mask_token, tokenizer.decode([token])) for token in top_5_tokens]


def masked_word_of_a_newer_model(models):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/modernbert-base")
    model = AutoModelForMaskedLM.from_pretrained(f"{models}/modernbert-base")
    inputs = tokenizer("The letters of the <mask> are happy.", return_tensors="pt")
    outputs = model(**inputs)
    masked_index = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
    predicted_token_id = outputs.logits[0, masked_index].argmax(axis=-1)
    return tokenizer.decode(predicted_token_id), list(outputs.logits.shape)


def probability_of_a_sentence(models):
    """Pseudo-perplexity: each token masked in turn."""
    import torch
    from transformers import BertForMaskedLM, BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = BertForMaskedLM.from_pretrained(f"{models}/bert-base-uncased").eval()
    tensor_input = tokenizer.encode("Anna plays the guitar.", return_tensors="pt")
    repeat_input = tensor_input.repeat(tensor_input.size(-1) - 2, 1)
    mask = torch.ones(tensor_input.size(-1) - 1).diag(1)[:-2]
    masked_input = repeat_input.masked_fill(mask == 1, tokenizer.mask_token_id)
    labels = repeat_input.masked_fill(masked_input != tokenizer.mask_token_id, -100)
    with torch.inference_mode():
        loss = model(masked_input, labels=labels).loss
    return float(loss)


def features(models):
    from transformers import pipeline

    extractor = pipeline("feature-extraction", model=f"{models}/all-minilm")
    return extractor("We love science."), extractor(["We", "love"]), list(extractor("cat", return_tensors=True).shape)


def mean_pooling(models):
    """The function on every sentence-embedding model's page."""
    import torch
    import torch.nn.functional as F
    from transformers import AutoModel, AutoTokenizer

    def mean_pooling(model_output, attention_mask):
        token_embeddings = model_output[0]
        input_mask_expanded = attention_mask.unsqueeze(-1).expand(token_embeddings.size()).float()
        return torch.sum(token_embeddings * input_mask_expanded, 1) / torch.clamp(input_mask_expanded.sum(1), min=1e-9)

    sentences = ["This is an example sentence", "Each sentence is converted, and this one is longer than the other"]
    tokenizer = AutoTokenizer.from_pretrained(f"{models}/all-minilm")
    model = AutoModel.from_pretrained(f"{models}/all-minilm")
    encoded_input = tokenizer(sentences, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        model_output = model(**encoded_input)
    sentence_embeddings = mean_pooling(model_output, encoded_input["attention_mask"])
    return F.normalize(sentence_embeddings, p=2, dim=1).tolist()


def similarity_of_first_vectors(models):
    import torch
    from transformers import BertModel, BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(f"{models}/all-minilm")
    model = BertModel.from_pretrained(f"{models}/all-minilm")
    vectors = []
    for text in ("The cat eats.", "A dog eats an apple."):
        input_ids = torch.tensor(tokenizer.encode(text)).unsqueeze(0)
        outputs = model(input_ids)
        vectors.append(outputs.last_hidden_state[:, 0, :])
    return torch.nn.functional.cosine_similarity(*vectors).tolist(), outputs.pooler_output.tolist()


def last_four_layers(models):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = AutoModel.from_pretrained(f"{models}/bert-base-uncased", output_hidden_states=True)
    model.eval()
    encoded = tokenizer.encode_plus("Clara wrote a book.", return_tensors="pt")
    with torch.no_grad():
        outputs = model(**encoded)
    hidden_states = outputs[2]
    stacked = torch.stack([hidden_states[i] for i in (-3, -2, -1)])
    return len(hidden_states), stacked.sum(0).squeeze(0).mean(0).tolist()


def attention_of_every_head(models):
    import torch
    from transformers import BertModel, BertTokenizer

    model = BertModel.from_pretrained(f"{models}/bert-base-uncased", output_attentions=True)
    tokenizer = BertTokenizer.from_pretrained(f"{models}/bert-base-uncased", do_lower_case=True)
    inputs = tokenizer.encode_plus("The cat eats", "the apple", return_tensors="pt", add_special_tokens=True)
    attention = model(inputs["input_ids"], token_type_ids=inputs["token_type_ids"])[-1]
    tokens = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())
    return tokens, [list(layer.shape) for layer in attention], torch.stack(attention).sum(-1).flatten().tolist()


def tuples_instead_of_outputs(models):
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = AutoModel.from_pretrained(f"{models}/bert-base-uncased")
    inputs = tokenizer("Peter lives", return_tensors="pt")
    sequence_output, pooled_output = model(**inputs, return_dict=False)
    by_key = model(**inputs, output_hidden_states=True)
    return sequence_output.tolist(), pooled_output.tolist(), list(by_key.keys()), len(by_key), len(by_key.to_tuple())


def vectors_of_electra(models):
    from transformers import ElectraModel, ElectraTokenizerFast

    tokenizer = ElectraTokenizerFast.from_pretrained(f"{models}/electra-small")
    model = ElectraModel.from_pretrained(f"{models}/electra-small")
    outputs = model(**tokenizer(["We won", "The team won the game"], padding=True, return_tensors="pt"))
    return outputs.last_hidden_state[:, 0].tolist()


def vectors_under_doubled_precision_of_masks(models):
    """A mask written by hand, with the padding on the right."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/distilbert-sst-2")
    model = AutoModelForSequenceClassification.from_pretrained(f"{models}/distilbert-sst-2")
    batched_ids = [[101 % 50, 20, 21], [101 % 50, 20, tokenizer.pad_token_id]]
    attention_mask = [[1, 1, 1], [1, 1, 0]]
    outputs = model(torch.tensor(batched_ids), attention_mask=torch.tensor(attention_mask))
    alone = model(torch.tensor([[101 % 50, 20]]))
    return outputs.logits.tolist(), alone.logits.tolist()


def next_sentence(models):
    import torch
    from transformers import BertForNextSentencePrediction, BertTokenizer

    tokenizer = BertTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = BertForNextSentencePrediction.from_pretrained(f"{models}/bert-base-uncased")
    prompt = "In London, food is eaten at school."
    next_sentence = "The price of an apple is good."
    encoding = tokenizer(prompt, next_sentence, return_tensors="pt")
    outputs = model(**encoding, labels=torch.LongTensor([1]))
    return outputs.logits.tolist(), float(outputs.loss), bool(outputs.logits[0, 0] < outputs.logits[0, 1])


def both_pretraining_heads(models):
    from transformers import AutoTokenizer, BertForPreTraining

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-uncased")
    model = BertForPreTraining.from_pretrained(f"{models}/bert-base-uncased")
    outputs = model(**tokenizer("Hello, my dog is cute", return_tensors="pt"))
    return outputs.prediction_logits.argmax(-1).tolist(), outputs.seq_relationship_logits.tolist()


def multiple_choice(models):
    import torch
    from transformers import AutoTokenizer, BertForMultipleChoice

    tokenizer = AutoTokenizer.from_pretrained(f"{models}/bert-base-swag")
    model = BertForMultipleChoice.from_pretrained(f"{models}/bert-base-swag")
    prompt = "France has a bread law."
    choice0 = "The law does not apply to apples."
    choice1 = "The law applies to music."
    labels = torch.tensor(0).unsqueeze(0)
    encoding = tokenizer([prompt, prompt], [choice0, choice1], return_tensors="pt", padding=True)
    outputs = model(**{k: v.unsqueeze(0) for k, v in encoding.items()}, labels=labels)
    return float(outputs.loss), outputs.logits.tolist(), outputs.logits.argmax().item()
