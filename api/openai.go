package api

// OpenAIEmbeddingRequest asks for vectors in the form that many programs speak. Input is a text or a
// list of texts.
type OpenAIEmbeddingRequest struct {
	Model          string `json:"model" doc:"name of the vision-language model, as /v1/models lists it" max:"200"`
	Input          Texts  `json:"input" doc:"a text, or up to 256 texts" min:"1" max:"256" each:"1,1000"`
	EncodingFormat string `json:"encoding_format,omitempty" enum:"float" doc:"float"`
}

// Texts is a list of texts that JSON may also write as a single text.
type Texts []string

// OpenAIEmbeddingList is vectors, in the order of the texts.
type OpenAIEmbeddingList struct {
	Object string            `json:"object" enum:"list"`
	Data   []OpenAIEmbedding `json:"data"`
	Model  string            `json:"model"`
	Usage  OpenAIUsage       `json:"usage"`
}

// OpenAIEmbedding is one vector.
type OpenAIEmbedding struct {
	Object    string    `json:"object" enum:"embedding"`
	Index     int       `json:"index"`
	Embedding []float32 `json:"embedding"`
}

// OpenAIUsage counts words, as the server does not bill tokens.
type OpenAIUsage struct {
	PromptTokens int `json:"prompt_tokens" doc:"words of the texts"`
	TotalTokens  int `json:"total_tokens"`
}

// OpenAIModelList is the models in the form that many programs speak.
type OpenAIModelList struct {
	Object string        `json:"object" enum:"list"`
	Data   []OpenAIModel `json:"data"`
}

// OpenAIModel is one model.
type OpenAIModel struct {
	ID      string `json:"id"`
	Object  string `json:"object" enum:"model"`
	Created int64  `json:"created" doc:"0: not known"`
	OwnedBy string `json:"owned_by"`
}
