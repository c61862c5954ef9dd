package api

// RegionRequest asks about regions of a picture: one of the index, or an uploaded file "image".
type RegionRequest struct {
	Image   string       `json:"image,omitempty" doc:"id of a picture of the index" max:"64"`
	Index   string       `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Masks   []RegionMask `json:"masks" doc:"the regions; in a form: the list as JSON" min:"1" max:"64"`
	Labels  []string     `json:"labels,omitempty" doc:"names that each region is compared with" max:"64" each:"1,300"`
	Vectors bool         `json:"vectors,omitempty" doc:"return the vectors"`
	Similar int          `json:"similar,omitempty" doc:"pictures of the index that show the same, for each region" min:"1" max:"50"`
}

// RegionMatchRequest asks which region of a picture each expression means.
type RegionMatchRequest struct {
	Image       string       `json:"image,omitempty" doc:"id of a picture of the index" max:"64"`
	Index       string       `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Masks       []RegionMask `json:"masks" doc:"the regions; in a form: the list as JSON" min:"1" max:"64"`
	Expressions []string     `json:"expressions" doc:"such as: the brown dog on the left" min:"1" max:"64" each:"1,300"`
}

// RegionCaptionRequest asks what regions of a picture show, in words; without masks, what the whole picture does.
type RegionCaptionRequest struct {
	Image string       `json:"image,omitempty" doc:"id of a picture of the index" max:"64"`
	Index string       `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Masks []RegionMask `json:"masks,omitempty" doc:"the regions, in a form: the list as JSON; the whole picture by default" max:"64"`
	Count int          `json:"count,omitempty" doc:"captions of each region; 1 by default" min:"1" max:"20"`
}

// RegionExportRequest asks for vectors of regions as a file, in the form that image generators take.
type RegionExportRequest struct {
	Image     string       `json:"image,omitempty" doc:"id of a picture of the index" max:"64"`
	Index     string       `json:"index,omitempty" doc:"name of the index; the first one by default"`
	Masks     []RegionMask `json:"masks" doc:"the regions; in a form: the list as JSON" min:"1" max:"64"`
	File      string       `json:"file,omitempty" enum:"safetensors,npy" doc:"safetensors by default: the form's tensors, and maps and masks beside them; npy: the vectors alone, of length 1, float32 [regions, values]"`
	Form      string       `json:"form,omitempty" enum:"plain,kandinsky,unclip,stable-unclip,stable-unclip-small,ip-adapter,ip-adapter-sdxl" doc:"which generators take it; plain by default"`
	Half      bool         `json:"half,omitempty" doc:"safetensors in float16"`
	Unchecked bool         `json:"unchecked,omitempty" doc:"also where the model is not the encoder that the form's generators know: they will not understand it"`
}

// RegionMask is a part of a picture, told by exactly one of its fields beside the name, in pixels of the
// picture.
type RegionMask struct {
	Name     string      `json:"name,omitempty" max:"100"`
	Box      []float64   `json:"box,omitempty" doc:"left, top, right, bottom" min:"4" max:"4"`
	Polygon  []float64   `json:"polygon,omitempty" doc:"x, y, x, y, …" min:"6" max:"20000"`
	Polygons [][]float64 `json:"polygons,omitempty" doc:"several polygons" min:"1" max:"1000"`
	Circle   []float64   `json:"circle,omitempty" doc:"x, y, radius" min:"3" max:"3"`
	RLE      *RLE        `json:"rle,omitempty" doc:"COCO's compressed run lengths"`
	PNG      string      `json:"png,omitempty" doc:"a black and white PNG in base64; fitted to the picture"`
}

// RLE is a mask as COCO stores it, compressed.
type RLE struct {
	Size   [2]int `json:"size" doc:"height and width" each:"1,1000000"`
	Counts string `json:"counts"`
}

// RegionResult is what was found out about regions.
type RegionResult struct {
	ID      string             `json:"id" doc:"names the maps in paths while they are kept"`
	Model   string             `json:"model"`
	Method  string             `json:"method" doc:"that made the vectors"`
	Image   string             `json:"image,omitempty"`
	Path    string             `json:"path,omitempty"`
	Width   int                `json:"width" doc:"of the picture, in pixels"`
	Height  int                `json:"height"`
	Regions []Region           `json:"regions"`
	Matches []RegionMatch      `json:"matches,omitempty"`
	Notes   []string           `json:"notes,omitempty"`
	TookMS  map[string]float64 `json:"took_ms" doc:"milliseconds by stage, and total"`
}

// Region is a region and what is known of it.
type Region struct {
	Mask    string        `json:"mask" doc:"its name"`
	Area    float64       `json:"area" doc:"share of the picture"`
	Box     [4]int        `json:"box" doc:"left, top, right, bottom in pixels, the last two not inside"`
	Dice    float64       `json:"dice" doc:"0 to 1: how well the vector's own map fits the mask"`
	Vector  []float32     `json:"vector,omitempty" doc:"of length 1"`
	Labels  []RegionLabel `json:"labels" doc:"best first"`
	Similar []RegionHit   `json:"similar,omitempty" doc:"pictures that show the same, best first"`
	// Captions are the answer to RegionCaptionRequest alone.
	Captions []RegionCaption `json:"captions,omitempty" doc:"what it shows in words, best first"`
	Heat     string          `json:"heat" doc:"path of a map as grey PNG: of the first caption where there are captions, else of the vector itself"`
}

// RegionCaption says in words what a region shows.
type RegionCaption struct {
	Text       string  `json:"text"`
	Score      float64 `json:"score" doc:"0 to 1: how surely the region shows this at all"`
	Similarity float64 `json:"similarity" doc:"cosine of the text's vector and the region's"`
	Likelihood float64 `json:"likelihood" doc:"0 to 1: how likely the decoder found the words"`
	Dice       float64 `json:"dice" doc:"0 to 1: how well the text's own map fits the mask"`
}

// RegionSteps is how far MaskInversion is: what the events "partial" carry while vectors are found.
type RegionSteps struct {
	Step    int           `json:"step" doc:"that was just taken, from 1"`
	Steps   int           `json:"steps" doc:"that there will be at most"`
	Regions []RegionSoFar `json:"regions"`
}

// RegionSoFar is where a region's vector stands.
type RegionSoFar struct {
	Mask    string  `json:"mask" doc:"its name"`
	Dice    float64 `json:"dice" doc:"0 to 1: how well the vector's own map fits the mask"`
	Rows    int     `json:"rows" doc:"of the map"`
	Columns int     `json:"columns" doc:"of the map"`
	Map     []byte  `json:"map" doc:"rows of patches, 0 to 255 from the least to the most, in base64"`
}

// RegionLabel is a name and how well it fits a region.
type RegionLabel struct {
	Text       string  `json:"text"`
	Score      float64 `json:"score" doc:"0 to 1: probability among the names given; of a single one, how surely it is seen"`
	Similarity float64 `json:"similarity"`
}

// RegionHit is a picture that shows what a region shows, and where in it.
type RegionHit struct {
	ImageHit ImageHit `json:"hit"`
	Peak     [2]int   `json:"peak" doc:"x, y of the pixel where it is seen most"`
	Box      [4]int   `json:"box" doc:"left, top, right, bottom of where it is seen at least half as much"`
	Words    string   `json:"words" doc:"where, in a sentence"`
}

// RegionMatch is the region that an expression means.
type RegionMatch struct {
	Text     string       `json:"text"`
	Mask     string       `json:"mask" doc:"name of the region that fits best; empty where none fits"`
	Presence float64      `json:"presence" doc:"0 to 1: how surely the best region shows the expression at all"`
	Ranking  []RankedMask `json:"ranking" doc:"best first"`
}

// RankedMask is a region and how well an expression fits it.
type RankedMask struct {
	Mask       string  `json:"mask"`
	Score      float64 `json:"score" doc:"0 to 1: probability among the regions"`
	Similarity float64 `json:"similarity"`
}
