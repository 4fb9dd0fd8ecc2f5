// Command oss-v1 drives aliyun-oss-go-sdk: 3.x with go.mod, 2.x with go-2.mod.
package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"

	"envelope.interop/protocol"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"
	"github.com/aliyun/aliyun-oss-go-sdk/oss"
	osscrypto "github.com/aliyun/aliyun-oss-go-sdk/oss/crypto"
)

func main() {
	protocol.Serve(protocol.Driver{
		Module: "github.com/aliyun/aliyun-oss-go-sdk",
		Write:  write,
		Read:   read,
	})
}

func write(request protocol.Request) error {
	if request.Content != "ctr" {
		return protocol.Unsupported("CreateAesCtrCipher is the only content cipher")
	}
	if request.Storage != "header" {
		return protocol.Unsupported("the SDK keeps the envelope in the object's metadata only")
	}
	bucket, err := cryptoBucket(request)
	if err != nil {
		return err
	}
	switch request.How {
	case "put":
		return bucket.PutObjectFromFile(request.Key, request.File)
	case "multipart":
		return multipart(bucket, request)
	case "resumable":
		err := bucket.UploadFile(request.Key, request.File, request.PartSize)
		return protocol.Refusal(err)
	case "stream":
		file, err := os.Open(request.File)
		if err != nil {
			return err
		}
		defer file.Close()
		return bucket.PutObject(request.Key, protocol.Stream(file))
	default:
		return fmt.Errorf("unknown way to write %q", request.How)
	}
}

func multipart(bucket *osscrypto.CryptoBucket, request protocol.Request) error {
	info, err := os.Stat(request.File)
	if err != nil {
		return err
	}
	parts := osscrypto.PartCryptoContext{DataSize: info.Size(), PartSize: request.PartSize}
	upload, err := bucket.InitiateMultipartUpload(request.Key, &parts)
	if err != nil {
		return err
	}
	chunks, err := oss.SplitFileByPartSize(request.File, parts.PartSize)
	if err != nil {
		return err
	}
	var done []oss.UploadPart
	for _, chunk := range chunks {
		part, err := bucket.UploadPartFromFile(
			upload, request.File, chunk.Offset, chunk.Size, chunk.Number, parts)
		if err != nil {
			return err
		}
		done = append(done, part)
	}
	_, err = bucket.CompleteMultipartUpload(upload, done)
	return err
}

func read(request protocol.Request) (io.ReadCloser, error) {
	bucket, err := cryptoBucket(request)
	if err != nil {
		return nil, err
	}
	var options []oss.Option
	if request.Range != "" {
		options = append(options, oss.NormalizedRange(request.Range))
	}
	return bucket.GetObject(request.Key, options...)
}

func cryptoBucket(request protocol.Request) (*osscrypto.CryptoBucket, error) {
	client, err := oss.New(request.Endpoint, protocol.AccessKey, protocol.Secret)
	if err != nil {
		return nil, err
	}
	master, err := masterCipher(request)
	if err != nil {
		return nil, err
	}
	var options []osscrypto.CryptoBucketOption
	if len(request.Others) > 0 {
		options = append(options, osscrypto.SetMasterCipherManager(manager(request.Others)))
		client, err := kmsClient(request.KMS)
		if err != nil {
			return nil, err
		}
		options = append(options, osscrypto.SetAliKmsClient(client))
	}
	builder := osscrypto.CreateAesCtrCipher(master)
	return osscrypto.GetCryptoBucket(client, request.Bucket, builder, options...)
}

func masterCipher(request protocol.Request) (osscrypto.MasterCipher, error) {
	master := request.Master
	switch master.Wrap {
	case "rsa":
		keys, err := keyPair(master)
		if err != nil {
			return nil, err
		}
		return osscrypto.CreateMasterRsa(master.Description, keys[0], keys[1])
	case "kms":
		client, err := kmsClient(request.KMS)
		if err != nil {
			return nil, err
		}
		return osscrypto.CreateMasterAliKms(master.Description, master.KeyID, client)
	default:
		return nil, protocol.Unsupported("there are master ciphers for RSA and KMS only")
	}
}

// manager finds the keys of further masters by their descriptions.
type manager []protocol.Master

func (others manager) GetMasterKey(description map[string]string) ([]string, error) {
	for _, master := range others {
		if maps.Equal(master.Description, description) {
			if master.Wrap == "kms" {
				return []string{master.KeyID}, nil
			}
			return keyPair(master)
		}
	}
	return nil, fmt.Errorf("no master key has this description")
}

func keyPair(master protocol.Master) ([]string, error) {
	public, err := protocol.PEM(master.PublicKey)
	if err != nil {
		return nil, err
	}
	private, err := protocol.PEM(master.PrivateKey)
	return []string{public, private}, err
}

func kmsClient(address string) (*kms.Client, error) {
	client, err := kms.NewClientWithAccessKey("cn-hangzhou", protocol.AccessKey, protocol.Secret)
	if err != nil || address == "" {
		return client, err
	}
	location, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	client.Domain = location.Host
	// The OSS SDK insists on HTTPS, and the loopback KMS speaks plain HTTP, so the TLS connection
	// is replaced by a plain one.
	plain := func(ctx context.Context, network, address string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	client.SetTransport(&http.Transport{DialTLSContext: plain})
	return client, nil
}
