package photos

import (
	"slices"
	"strings"
)

// synonyms are further words by which a caption can name a class of COCO or PASCAL VOC, in the singular; a class's own
// name always counts. Kinds count ("puppy" is a dog), parts and places do not ("wheel", "kitchen"). Fixed before
// any caption of a test was seen.
var synonyms = map[string][]string{
	"person": strings.Fields("man woman boy girl child kid baby toddler people men women children guy lady player " +
		"skateboarder snowboarder skier surfer biker cyclist climber rider swimmer runner dancer"),
	"airplane": {"plane", "aeroplane", "jet", "aircraft"}, "aeroplane": {"airplane", "plane", "jet", "aircraft"},
	"bicycle": {"bike"}, "motorcycle": {"motorbike", "motor bike", "dirt bike"}, "motorbike": {"motorcycle", "motor bike", "dirt bike"},
	"car": {"automobile", "sedan", "suv", "race car", "taxi", "cab"}, "bus": {"school bus"}, "train": {"locomotive", "subway"},
	"truck": {"pickup", "van"}, "boat": {"ship", "canoe", "kayak", "sailboat", "raft", "ferry", "yacht"},
	"traffic light": {"stoplight", "street light"}, "bird": {"duck", "goose", "seagull", "gull", "pigeon", "parrot", "swan", "eagle", "owl"},
	"cat": {"kitten", "kitty"}, "dog": {"puppy", "greyhound", "hound", "poodle", "terrier", "collie"}, "horse": {"pony", "foal"},
	"sheep": {"lamb", "ram"}, "cow": {"cattle", "bull", "calf", "ox"}, "bear": {"polar bear", "grizzly"},
	"backpack": {"bag", "rucksack"}, "handbag": {"purse", "bag"}, "suitcase": {"luggage", "bag"}, "tie": {"necktie"},
	"sports ball": {"ball", "soccer ball", "tennis ball"},
	"skis":        {"ski"}, "snowboard": {"snow board"}, "surfboard": {"surf board"}, "skateboard": {"skate board"},
	"baseball bat": {"bat"}, "baseball glove": {"glove", "mitt"}, "tennis racket": {"racket", "racquet"},
	"wine glass": {"glass", "goblet"}, "cup": {"mug"}, "hot dog": {"hotdog"}, "donut": {"doughnut"}, "couch": {"sofa"},
	"sofa": {"couch"}, "potted plant": {"plant", "houseplant", "flowerpot"}, "pottedplant": {"potted plant", "plant", "houseplant"},
	"dining table": {"table"}, "diningtable": {"dining table", "table"}, "tv": {"television", "monitor", "screen"},
	"tvmonitor": {"tv", "television", "monitor", "screen"}, "laptop": {"computer"}, "mouse": {"computer mouse"},
	"remote": {"remote control"}, "cell phone": {"phone", "cellphone", "telephone"}, "refrigerator": {"fridge"},
	"teddy bear": {"teddy", "stuffed animal"}, "hair drier": {"hair dryer", "hairdryer"}, "bottle": {"beer bottle", "water bottle"},
	"bench": {"park bench"}, "chair": {"armchair", "stool"},
}

// apart are words that make another thing of a class when they stand before it.
var apart = map[string]string{"dog": "hot", "bear": "teddy"}

// Names says whether a caption, as words in lower case, names a class: by its own name, or a synonym; in the singular
// or in the plural.
func Names(caption []string, class string) bool {
	for _, name := range append([]string{class, Spoken(class)}, synonyms[class]...) {
		words := strings.Fields(name)
		last := len(words) - 1
		for i := range len(caption) - last {
			other := last == 0 && i > 0 && caption[i-1] == apart[name]
			if !other && slices.Equal(caption[i:i+last], words[:last]) && isForm(caption[i+last], words[last]) {
				return true
			}
		}
	}
	return false
}

// isForm says whether a word is a noun or its plural, or has an apostrophe and s behind it.
func isForm(word, noun string) bool {
	word = strings.TrimSuffix(word, "'s")
	if word == noun || word == noun+"s" || word == noun+"es" {
		return true
	}
	for ending, plural := range map[string]string{"y": "ies", "fe": "ves", "f": "ves", "man": "men", "goose": "geese"} {
		if stem, ok := strings.CutSuffix(noun, ending); ok && word == stem+plural {
			return true
		}
	}
	return false
}
