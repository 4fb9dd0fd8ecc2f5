// Package protocol is the loop that the Go drivers share; ../../README.md describes the protocol.
package protocol

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"runtime/debug"
	"strings"
)

// The account of the loopback servers.
const (
	AccessKey = "LTAIloop"
	Secret    = "SKloop"
)

// Master is a master key.
type Master struct {
	Wrap        string            `json:"wrap"`
	PublicKey   string            `json:"public_key"`
	PrivateKey  string            `json:"private_key"`
	Key         string            `json:"key"`
	KeyID       string            `json:"key_id"`
	Description map[string]string `json:"description"`
}

// Request asks a driver to write the file File or to read into the file Out.
type Request struct {
	Do       string   `json:"do"`
	Endpoint string   `json:"endpoint"`
	KMS      string   `json:"kms"`
	Bucket   string   `json:"bucket"`
	Key      string   `json:"key"`
	File     string   `json:"file"`
	How      string   `json:"how"`
	PartSize int64    `json:"part_size"`
	Out      string   `json:"out"`
	Range    string   `json:"range"`
	Content  string   `json:"content"`
	Storage  string   `json:"storage"`
	Master   Master   `json:"master"`
	Others   []Master `json:"others"`
}

// Driver writes and reads objects with an SDK.
type Driver struct {
	// Module is the SDK's module path, by which its version is looked up in the executable.
	Module string
	Write  func(Request) error
	// Read returns the object's bytes, which Serve copies to Out.
	Read func(Request) (io.ReadCloser, error)
}

type greeting struct {
	SDK     string `json:"sdk"`
	Version string `json:"version"`
}

type answer struct {
	OK          bool   `json:"ok,omitempty"`
	Error       string `json:"error,omitempty"`
	Unsupported string `json:"unsupported,omitempty"`
}

type unsupported string

func (u unsupported) Error() string { return string(u) }

// Unsupported is the error for what the SDK's interface cannot express.
func Unsupported(format string, values ...any) error {
	return unsupported(fmt.Sprintf(format, values...))
}

// Refusal turns an error by which a method says that it is only a placeholder into Unsupported.
func Refusal(err error) error {
	if err != nil && strings.Contains(err.Error(), "doesn't support") {
		return Unsupported("%s", err)
	}
	return err
}

// Stream hides everything but Read, so that the SDK can learn no length and cannot seek.
func Stream(reader io.Reader) io.Reader {
	return struct{ io.Reader }{reader}
}

// PEM returns the text of a key file. The path of a key that the request does not have is empty.
func PEM(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := os.ReadFile(path)
	return string(text), err
}

// Serve answers the requests on standard input.
func Serve(driver Driver) {
	out := json.NewEncoder(os.Stdout)
	// The answers are read as text by people, too.
	out.SetEscapeHTML(false)
	say(out, greeting{
		SDK:     driver.Module[strings.LastIndexByte(driver.Module, '/')+1:],
		Version: version(driver.Module),
	})
	in := bufio.NewReader(os.Stdin)
	for {
		// Unlike a Scanner, ReadBytes has no limit for a line.
		line, err := in.ReadBytes('\n')
		if len(line) > 0 {
			say(out, reply(driver, line))
		}
		if err != nil {
			return
		}
	}
}

func say(out *json.Encoder, message any) {
	if err := out.Encode(message); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func version(module string) string {
	info, _ := debug.ReadBuildInfo()
	for _, dependency := range info.Deps {
		if dependency.Path == module {
			number := strings.TrimPrefix(dependency.Version, "v")
			return strings.TrimSuffix(number, "+incompatible")
		}
	}
	return "unknown"
}

func reply(driver Driver, line []byte) answer {
	var request Request
	err := json.Unmarshal(line, &request)
	if err == nil {
		err = perform(driver, request)
	}
	var reason unsupported
	switch {
	case err == nil:
		return answer{OK: true}
	case errors.As(err, &reason):
		return answer{Unsupported: oneLine(reason.Error())}
	default:
		return answer{Error: oneLine(err.Error())}
	}
}

func perform(driver Driver, request Request) (err error) {
	// A panic in a goroutine of the SDK still ends the process; nobody can catch it.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	switch request.Do {
	case "write":
		return driver.Write(request)
	case "read":
		return read(driver, request)
	default:
		return fmt.Errorf("unknown request %q", request.Do)
	}
}

func read(driver Driver, request Request) error {
	body, err := driver.Read(request)
	if err != nil {
		return err
	}
	defer body.Close()
	out, err := os.Create(request.Out)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, body)
	return errors.Join(err, out.Close())
}

// What differs from run to run.
var variable = []struct {
	pattern *regexp.Regexp
	name    string
}{
	// Punctuation after a URL belongs to the sentence around it.
	{regexp.MustCompile(`\bhttps?://[^\s"]*[^\s".:,;]`), "URL"},
	{regexp.MustCompile(`\b\d+\.\d+\.\d+\.\d+:\d+`), "ADDRESS"},
	{regexp.MustCompile(`\b0x[0-9a-f]+\b`), "POINTER"},
	{regexp.MustCompile(`\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \w+`), "TIME"},
	{regexp.MustCompile(`\d{4}-\d\d-\d\d[T ][\d:.]+\S*( [+-]\d{4} UTC)?`), "TIME"},
	{regexp.MustCompile(`\b[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\b`), "ID"},
	{regexp.MustCompile(`\b[0-9A-Fa-f]{24,}\b`), "ID"},
}

func oneLine(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	for _, part := range variable {
		text = part.pattern.ReplaceAllString(text, part.name)
	}
	return text
}
