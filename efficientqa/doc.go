// Package efficientqa answers questions by nearest neighbour: the possible answers of every passage
// are vectors, made before any question is asked; a question is one short encoder pass and one
// search, however many documents there are.
//
// The method is EfficientQA (arXiv:2101.02157). Call [LoadEncoder] for the model,
// [Encoder.Phrases] for the vectors of passages and [Encoder.Question] for a question's;
// [Match] compares them within one paragraph, [Rank] makes answers of what a search over a whole
// collection found.
//
//  1. Candidates are chosen without a question: start and end logits, a bilinear product of the two
//     and a score by width, for every span of whole words; the best K, equal texts once.
//  2. A candidate's vector is its meaning in its passage. A question's vector lies in the same space.
//  3. The answer is the candidate with the largest inner product.
//
// The paper leaves the extractor's objective, K, pooling, similarity and the index over a collection
// open. Chosen here:
//
//   - shared context: the paper encodes [CLS] answer [SEP] context once for every candidate. Here a
//     passage is encoded once, and a candidate is one token that joins it half way up, attends to it
//     and is not seen by it: one pass a passage, a row a candidate. The paper's form is there too
//     ("form": "pair" in config.json);
//   - the extractor's log-probability, which needs no question, is stored with each vector and added
//     to its score: it says how likely a span is to answer anything;
//   - over a collection, a phrase counts less by how far its passage's BM25 score is behind the best
//     passage's ([Lags]);
//   - over a collection, places of equal text are one answer, their shares add up, and a logistic
//     calibration turns the best share and score into the probability that the answer is right.
package efficientqa
