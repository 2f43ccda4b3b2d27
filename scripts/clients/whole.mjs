/**
 * A tokenizer of transformers.js that cuts long texts as every other client does.
 *
 * transformers.js cuts after the special tokens were added, so a long text loses its closing token ([SEP], </s>). This puts
 * it back. For a pipeline: `pipe.tokenizer = whole(pipe.tokenizer)`.
 */
export function whole(tokenizer) {
  const [empty, word] = ["", "a"].map((text) => tokenizer(text, { return_tensor: false }).input_ids.at(-1));
  return new Proxy(tokenizer, {
    apply(target, self, [texts, options = {}]) {
      const inputs = Reflect.apply(target, self, [texts, options]);
      const [rows, length] = inputs.input_ids.dims ?? [0, 0];
      const full = options.truncation && length === (options.max_length ?? target.model_max_length);
      for (let last = length - 1; full && empty === word && last < rows * length; last += length) {
        if (inputs.attention_mask.data[last]) inputs.input_ids.data[last] = BigInt(empty);
      }
      return inputs;
    },
  });
}
