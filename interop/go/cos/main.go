// Command cos drives cos-go-sdk-v5.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"

	"envelope.interop/protocol"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	"github.com/tencentyun/cos-go-sdk-v5"
	coscrypto "github.com/tencentyun/cos-go-sdk-v5/crypto"
)

const region = "ap-guangzhou"

func main() {
	protocol.Serve(protocol.Driver{
		Module: "github.com/tencentyun/cos-go-sdk-v5",
		Write:  write,
		Read:   read,
	})
}

func write(request protocol.Request) error {
	if request.Content != "ctr" {
		return protocol.Unsupported("CreateAesCtrBuilder is the only builder of content ciphers")
	}
	if request.Storage != "header" {
		return protocol.Unsupported("the SDK keeps the envelope in the object's metadata only")
	}
	client, err := cryptoClient(request)
	if err != nil {
		return err
	}
	switch request.How {
	case "put":
		_, err := client.Object.PutFromFile(
			context.Background(), request.Key, request.File, nil)
		return err
	case "multipart":
		return multipart(client, request)
	case "resumable":
		// The unit of this part size is MiB.
		options := &cos.MultiUploadOptions{PartSize: request.PartSize >> 20}
		_, _, err := client.Object.Upload(
			context.Background(), request.Key, request.File, options)
		return protocol.Refusal(err)
	case "stream":
		file, err := os.Open(request.File)
		if err != nil {
			return err
		}
		defer file.Close()
		_, err = client.Object.Put(
			context.Background(), request.Key, protocol.Stream(file), nil)
		return err
	default:
		return fmt.Errorf("unknown way to write %q", request.How)
	}
}

func multipart(client *coscrypto.CryptoClient, request protocol.Request) error {
	file, err := os.Open(request.File)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	parts := &coscrypto.CryptoContext{DataSize: info.Size(), PartSize: request.PartSize}
	upload, _, err := client.Object.InitiateMultipartUpload(
		context.Background(), request.Key, nil, parts)
	if err != nil {
		return err
	}
	chunks, _, err := cos.SplitSizeIntoChunks(info.Size(), request.PartSize)
	if err != nil {
		return err
	}
	done := &cos.CompleteMultipartUploadOptions{}
	for _, chunk := range chunks {
		response, err := client.Object.UploadPart(
			context.Background(), request.Key, upload.UploadID, chunk.Number,
			io.NewSectionReader(file, chunk.OffSet, chunk.Size),
			&cos.ObjectUploadPartOptions{ContentLength: chunk.Size}, parts)
		if err != nil {
			return err
		}
		done.Parts = append(done.Parts, cos.Object{
			PartNumber: chunk.Number,
			ETag:       response.Header.Get("ETag"),
		})
	}
	_, _, err = client.Object.CompleteMultipartUpload(
		context.Background(), request.Key, upload.UploadID, done)
	return err
}

func read(request protocol.Request) (io.ReadCloser, error) {
	if len(request.Others) > 0 {
		return nil, protocol.Unsupported("NewCryptoClient takes one master cipher")
	}
	client, err := cryptoClient(request)
	if err != nil {
		return nil, err
	}
	var options *cos.ObjectGetOptions
	if request.Range != "" {
		options = &cos.ObjectGetOptions{Range: "bytes=" + request.Range}
	}
	response, err := client.Object.Get(context.Background(), request.Key, options)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

func cryptoClient(request protocol.Request) (*coscrypto.CryptoClient, error) {
	if request.Master.Wrap != "kms" {
		return nil, protocol.Unsupported("CreateMasterKMS is the only maker of master ciphers")
	}
	transport, err := loopback(request.Endpoint)
	if err != nil {
		return nil, err
	}
	// The SDK has no path style: it takes the bucket from the host.
	bucket, err := url.Parse(
		fmt.Sprintf("http://%s.cos.%s.myqcloud.com", request.Bucket, region))
	if err != nil {
		return nil, err
	}
	client := cos.NewClient(&cos.BaseURL{BucketURL: bucket}, &http.Client{
		Transport: &cos.AuthorizationTransport{
			SecretID:  protocol.AccessKey,
			SecretKey: protocol.Secret,
			Transport: transport,
		},
	})
	location, err := url.Parse(request.KMS)
	if err != nil {
		return nil, err
	}
	plain := func(options *profile.HttpProfile) { options.Scheme = location.Scheme }
	kms, err := coscrypto.NewKMSClient(
		client.GetCredential(), region, coscrypto.KMSEndpoint(location.Host), plain)
	if err != nil {
		return nil, err
	}
	master, err := coscrypto.CreateMasterKMS(kms, request.Master.KeyID, request.Master.Description)
	if err != nil {
		return nil, err
	}
	return coscrypto.NewCryptoClient(client, master), nil
}

// loopback connects to the loopback server whatever the host of a URL is.
func loopback(endpoint string) (*http.Transport, error) {
	server, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, server.Host)
		},
	}, nil
}
