// Command oss-v2 drives alibabacloud-oss-go-sdk-v2.
package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"envelope.interop/protocol"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/crypto"
)

func main() {
	protocol.Serve(protocol.Driver{
		Module: "github.com/aliyun/alibabacloud-oss-go-sdk-v2",
		Write:  write,
		Read:   read,
	})
}

func write(request protocol.Request) error {
	if request.Content != "ctr" {
		return protocol.Unsupported("EncryptionClient has AES/CTR only")
	}
	if request.Storage != "header" {
		return protocol.Unsupported("the SDK keeps the envelope in the object's metadata only")
	}
	client, err := encryptionClient(request)
	if err != nil {
		return err
	}
	switch request.How {
	case "put", "stream":
		file, err := os.Open(request.File)
		if err != nil {
			return err
		}
		defer file.Close()
		put := &oss.PutObjectRequest{
			Bucket: &request.Bucket,
			Key:    &request.Key,
			Body:   file,
		}
		if request.How == "stream" {
			put.Body = protocol.Stream(file)
		}
		_, err = client.PutObject(context.TODO(), put)
		return err
	case "multipart":
		return multipart(client, request)
	case "resumable":
		uploader := client.NewUploader(func(options *oss.UploaderOptions) {
			options.PartSize = request.PartSize
		})
		put := &oss.PutObjectRequest{Bucket: &request.Bucket, Key: &request.Key}
		_, err := uploader.UploadFile(context.TODO(), put, request.File)
		return err
	default:
		return fmt.Errorf("unknown way to write %q", request.How)
	}
}

func multipart(client *oss.EncryptionClient, request protocol.Request) error {
	file, err := os.Open(request.File)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	upload, err := client.InitiateMultipartUpload(
		context.TODO(),
		&oss.InitiateMultipartUploadRequest{
			Bucket:      &request.Bucket,
			Key:         &request.Key,
			CSEPartSize: &request.PartSize,
			CSEDataSize: &size,
		})
	if err != nil {
		return err
	}
	var parts []oss.UploadPart
	for start := int64(0); start < size; start += request.PartSize {
		number := int32(len(parts) + 1)
		length := min(request.PartSize, size-start)
		part, err := client.UploadPart(context.TODO(), &oss.UploadPartRequest{
			Bucket:              &request.Bucket,
			Key:                 &request.Key,
			UploadId:            upload.UploadId,
			PartNumber:          number,
			CSEMultiPartContext: upload.CSEMultiPartContext,
			Body:                io.NewSectionReader(file, start, length),
		})
		if err != nil {
			return err
		}
		parts = append(parts, oss.UploadPart{PartNumber: number, ETag: part.ETag})
	}
	_, err = client.CompleteMultipartUpload(
		context.TODO(),
		&oss.CompleteMultipartUploadRequest{
			Bucket:                  &request.Bucket,
			Key:                     &request.Key,
			UploadId:                upload.UploadId,
			CompleteMultipartUpload: &oss.CompleteMultipartUpload{Parts: parts},
		})
	return err
}

func read(request protocol.Request) (io.ReadCloser, error) {
	client, err := encryptionClient(request)
	if err != nil {
		return nil, err
	}
	get := &oss.GetObjectRequest{Bucket: &request.Bucket, Key: &request.Key}
	if request.Range != "" {
		get.Range = oss.Ptr("bytes=" + request.Range)
	}
	result, err := client.GetObject(context.TODO(), get)
	if err != nil {
		return nil, err
	}
	return result.Body, nil
}

func encryptionClient(request protocol.Request) (*oss.EncryptionClient, error) {
	keys := credentials.NewStaticCredentialsProvider(protocol.AccessKey, protocol.Secret)
	config := oss.LoadDefaultConfig().
		WithCredentialsProvider(keys).
		WithRegion("cn-hangzhou").
		WithEndpoint(request.Endpoint)
	main, err := masterCipher(request.Master, request.KMS)
	if err != nil {
		return nil, err
	}
	var others []crypto.MasterCipher
	for _, master := range request.Others {
		other, err := masterCipher(master, request.KMS)
		if err != nil {
			return nil, err
		}
		others = append(others, other)
	}
	client := oss.NewClient(config)
	return oss.NewEncryptionClient(client, main, func(options *oss.EncryptionClientOptions) {
		options.MasterCiphers = others
	})
}

func masterCipher(master protocol.Master, kms string) (crypto.MasterCipher, error) {
	switch master.Wrap {
	case "rsa":
		public, err := protocol.PEM(master.PublicKey)
		if err != nil {
			return nil, err
		}
		private, err := protocol.PEM(master.PrivateKey)
		if err != nil {
			return nil, err
		}
		return crypto.CreateMasterRsa(master.Description, public, private)
	case "kms":
		return newKMSCipher(master, kms)
	default:
		return nil, protocol.Unsupported("there is a master cipher for RSA, and a sample for KMS")
	}
}
