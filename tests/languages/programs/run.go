// Prints the verdicts of the Go program of the documents on the cases of conformance.json.
package main

import (
	"encoding/json"
	"os"

	"check/session"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func verdict(err error) string {
	if err == nil {
		return "valid"
	}
	return err.Error()
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	must(err)
	var cases struct {
		Settings struct {
			Issuer, Audience    string
			Now, ClockTolerance int64
		}
		Jwks   json.RawMessage
		Tokens []struct{ Token string }
		Feeds  []struct{ Feed []byte } // encoding/json decodes base64
	}
	must(json.Unmarshal(text, &cases))
	keys, err := session.LoadKeys(cases.Jwks)
	must(err)
	set := cases.Settings
	verifier := session.Verifier{Issuer: set.Issuer, Audience: set.Audience, Tolerance: set.ClockTolerance, Keys: keys}
	feed, err := verifier.ReadFeed(cases.Feeds[0].Feed, set.Now)
	must(err)
	verdicts := map[string][]string{}
	for _, entry := range cases.Tokens {
		_, err := verifier.Verify(entry.Token, feed, set.Now)
		verdicts["tokens"] = append(verdicts["tokens"], verdict(err))
	}
	for _, entry := range cases.Feeds {
		_, err := verifier.ReadFeed(entry.Feed, set.Now)
		verdicts["feeds"] = append(verdicts["feeds"], verdict(err))
	}
	must(json.NewEncoder(os.Stdout).Encode(verdicts))
}
