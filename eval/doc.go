// Package eval measures question answering and maps of photos: it reads SQuAD files, scores answers exactly as the
// data set's official scripts do, says how far probabilities can be trusted, and judges where a model sees what.
//
// For texts most callers want one of five functions: [OpenSQuAD] to read a set, [ScorePredictions] to score a
// file of answers, [RunSQuAD] to run a reader on the paragraphs of a set, [RunOpen] to run a
// whole system that must find the paragraph first, and [RunPIQA] to merge vectors that two processes made. For
// photos, sets of package eval/photos, there are [RunPointing], [RunSegmentation], [RunPerturbation],
// [RunImageRetrieval] and [RunTagging]; package eval/viewer puts models before them. All return or fill a [Report], which prints as JSON or as a table.
package eval
