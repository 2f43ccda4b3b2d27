// transformers.js, alike in Node and in a browser: what it says of every model of a job.
import { whole } from "./whole.mjs";

// What names the file: dtype alone, or, for a file that no dtype stands for, its name.
const FORMATS = {
  fp32: { dtype: "fp32" },
  fast: { dtype: "q8" },
  faithful: { dtype: "fp32", model_file_name: "model_faithful" },
  portable: { dtype: "fp32", model_file_name: "model_portable" },
};
const PIPELINES = { classification: "text-classification", tokens: "token-classification", spans: "question-answering" };
const CLASSES = {
  embedding: "AutoModel",
  classification: "AutoModelForSequenceClassification",
  tokens: "AutoModelForTokenClassification",
  spans: "AutoModelForQuestionAnswering",
};

/** Logits of the real tokens, one flat list an input. */
function flat(kind, found, mask) {
  if (kind === "embedding") return found.sentence_embedding.tolist();
  if (kind === "classification") return found.logits.tolist();
  const parts = kind === "tokens" ? [found.logits] : [found.start_logits, found.end_logits];
  const lists = parts.map((part) => part.tolist());
  return mask.tolist().map((row, at) => lists.flatMap((list) => list[at].filter((_, place) => Number(row[place])).flat()));
}

/** The auto class on what the tokenizer gives, one input at a time and all at once. */
async function direct(library, model, options) {
  const tokenizer = whole(await library.AutoTokenizer.from_pretrained(model.name));
  const network = await library[CLASSES[model.kind]].from_pretrained(model.name, options);
  const run = async (rows) => {
    const first = rows.map((row) => (model.kind === "spans" ? row[0] : model.prompt + row));
    const pair = model.kind === "spans" ? { text_pair: rows.map((row) => row[1]) } : {};
    const inputs = tokenizer(first, { ...pair, padding: true, truncation: true });
    return flat(model.kind, await network(inputs), inputs.attention_mask);
  };
  const single = [];
  for (const row of model.inputs) single.push((await run([row]))[0]);
  const batch = await run(model.inputs);
  await network.dispose();
  return { single, batch, limits: { model_max_length: tokenizer.model_max_length } };
}

/** The pipeline feature-extraction, which pools last_hidden_state by itself. */
async function extracted(library, model, options, mend = whole) {
  const extract = await library.pipeline("feature-extraction", model.name, options);
  extract.tokenizer = mend(extract.tokenizer);
  const run = async (texts) => (await extract(texts, { pooling: "mean", normalize: true })).tolist();
  const texts = model.inputs.map((text) => model.prompt + text);
  const single = [];
  for (const text of texts) single.push((await run([text]))[0]);
  const batch = await run(texts);
  await extract.dispose();
  return { single, batch };
}

/** What the pipeline of the task says of each input. */
async function says(library, model, options) {
  const ask = await library.pipeline(PIPELINES[model.kind], model.name, options);
  ask.tokenizer = whole(ask.tokenizer);
  const found = [];
  for (const row of model.asked) {
    if (model.kind === "classification") {
      const scores = await ask(row, { top_k: model.labels.length });
      found.push(model.labels.map((label) => scores.find((one) => one.label === label).score));
    } else if (model.kind === "tokens") {
      found.push((await ask(row)).map((one) => [one.entity, one.score]));
    } else {
      const one = await ask(row[0], row[1]);
      found.push([one.answer, one.score]);
    }
  }
  await ask.dispose();
  return { says: found, known_only: true }; // pieces that the vocabulary does not have are left out
}

/** Every model, every file; `device` is "cpu" (onnxruntime-node) or "wasm" (onnxruntime-web). */
export async function ask(library, job, device) {
  const answers = [];
  for (const model of job.models) {
    const ways = { [model.kind === "embedding" ? "AutoModel sentence_embedding" : CLASSES[model.kind]]: direct };
    if (model.pooled) {
      ways["pipeline feature-extraction"] = extracted;
      ways["pipeline feature-extraction, its own cut"] = async (...given) => {
        const found = await extracted(...given, (tokenizer) => tokenizer);
        return { ...found, known: "long texts lose their closing token" };
      };
    }
    if (model.kind !== "embedding") ways[`pipeline ${PIPELINES[model.kind]}`] = says;
    for (const [format, options] of Object.entries(FORMATS)) {
      for (const [way, found] of Object.entries(ways)) {
        const answer = { model: model.name, way, format };
        try {
          Object.assign(answer, await found(library, model, { ...options, device }));
        } catch (error) {
          answer.error = String(error.stack ?? error).slice(0, 500);
        }
        answers.push(answer);
      }
    }
  }
  return answers;
}
