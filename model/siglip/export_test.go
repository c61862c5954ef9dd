package siglip

import (
	"evident/model/clip"
	"evident/model/vit"
)

// TimmTower gives tests what a name of timm stands for.
func TimmTower(name string, size [2]int) (vit.TimmTower, error) {
	return timmTower(&clip.OpenVision{TimmName: name, ImageSize: size})
}
