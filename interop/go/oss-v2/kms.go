package main

import (
	"encoding/base64"
	"encoding/json"
	"net/url"

	"envelope.interop/protocol"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/kms"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/crypto"
)

// kmsCipher is a user's own master cipher, because the SDK has one in its sample/crypto only. What
// the KMS sees and what goes into the envelope are as in the sample; the client is that of
// alibaba-cloud-sdk-go, which the sample's client wraps.
type kmsCipher struct {
	client      *kms.Client
	keyID       string
	description string
}

func newKMSCipher(master protocol.Master, address string) (crypto.MasterCipher, error) {
	client, err := kms.NewClientWithAccessKey("cn-hangzhou", protocol.AccessKey, protocol.Secret)
	if err != nil {
		return nil, err
	}
	location, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	client.Domain = location.Host
	cipher := kmsCipher{client: client, keyID: master.KeyID}
	if len(master.Description) > 0 {
		text, err := json.Marshal(master.Description)
		if err != nil {
			return nil, err
		}
		cipher.description = string(text)
	}
	return cipher, nil
}

func (cipher kmsCipher) GetWrapAlgorithm() string { return crypto.KmsAliCryptoWrap }

func (cipher kmsCipher) GetMatDesc() string { return cipher.description }

func (cipher kmsCipher) Encrypt(plain []byte) ([]byte, error) {
	request := kms.CreateEncryptRequest()
	request.Scheme = "http"
	request.Method = "POST"
	request.KeyId = cipher.keyID
	request.Plaintext = base64.StdEncoding.EncodeToString(plain)
	response, err := cipher.client.Encrypt(request)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(response.CiphertextBlob)
}

func (cipher kmsCipher) Decrypt(wrapped []byte) ([]byte, error) {
	request := kms.CreateDecryptRequest()
	request.Scheme = "http"
	request.Method = "POST"
	request.CiphertextBlob = base64.StdEncoding.EncodeToString(wrapped)
	response, err := cipher.client.Decrypt(request)
	if err != nil {
		return nil, err
	}
	return base64.StdEncoding.DecodeString(response.Plaintext)
}
