package region

import (
	"math"

	"evident/model/vision"
	"evident/model/vit"
)

// weightsOf says how much each method counts in the model's combination; nil where the model does not say.
func weightsOf(model *vision.Model) Weights {
	weights := Weights{}
	for name, weight := range model.Regions.Weights {
		weights[Method(name)] = weight
	}
	return weights
}

// Combines says whether the model comes with a combination of methods, chosen on held-out photos.
func Combines(model *vision.Model) bool { return len(model.Regions.Weights) > 0 }

// Scale is what the cosine of a region's vector, made by a method, and a text's is multiplied by to become a logit.
// Of the model's own settings it was fitted on held-out photos; else it is what the model uses for pictures. Of an
// image classifier it is the length that its vectors have.
func Scale(model *vision.Model, method Method) float32 {
	if model.Classes != nil {
		return featureLength(model)
	}
	if scale := model.Regions.Scales[string(method)]; scale > 0 {
		return scale
	}
	return model.Scale
}

// featureLength is about the length of a classifier's vectors: those of a LayerNorm's output, whose values have
// mean 0 and variance 1 before gain and bias.
func featureLength(model *vision.Model) float32 {
	pool, ok := model.Pool.(*vit.TokenPool)
	if !ok {
		return 1
	}
	squares := 0.0
	for i, gain := range pool.Norm.Gain {
		squares += float64(gain)*float64(gain) + float64(pool.Norm.Bias[i])*float64(pool.Norm.Bias[i])
	}
	return float32(math.Sqrt(squares))
}
