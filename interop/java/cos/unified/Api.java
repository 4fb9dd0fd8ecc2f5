import com.qcloud.cos.COSEncryptionClient;
import com.qcloud.cos.ClientConfig;
import com.qcloud.cos.auth.COSCredentialsProvider;
import com.qcloud.cos.exception.CosClientException;
import com.qcloud.cos.internal.crypto.CryptoConfiguration;
import com.qcloud.cos.internal.crypto.EncryptionMaterialsProvider;
import com.qcloud.cos.internal.crypto.KMSEncryptionMaterials;
import com.qcloud.cos.internal.crypto.KMSEncryptionMaterialsProvider;
import com.qcloud.cos.internal.crypto.QCLOUDKMS;
import com.qcloud.cos.model.InitiateMultipartUploadRequest;
import com.tencentcloudapi.common.Credential;
import com.tencentcloudapi.common.exception.TencentCloudSDKException;
import com.tencentcloudapi.common.profile.ClientProfile;
import com.tencentcloudapi.common.profile.HttpProfile;
import com.tencentcloudapi.kms.v20190118.KmsClient;
import com.tencentcloudapi.kms.v20190118.models.DecryptRequest;
import com.tencentcloudapi.kms.v20190118.models.DecryptResponse;
import com.tencentcloudapi.kms.v20190118.models.EncryptRequest;
import com.tencentcloudapi.kms.v20190118.models.EncryptResponse;
import com.tencentcloudapi.kms.v20190118.models.GenerateDataKeyRequest;
import com.tencentcloudapi.kms.v20190118.models.GenerateDataKeyResponse;

import java.net.URI;

/** The interface of cos_api 5.6.50 and newer. */
final class Api {
    private Api() {}

    static COSEncryptionClient client(
            Protocol.Request request, COSCredentialsProvider account,
            EncryptionMaterialsProvider materials, ClientConfig config,
            CryptoConfiguration crypto) {
        if ("kms".equals(request.master().wrap())) {
            return new COSEncryptionClient(
                    new Kms(request.kms()), account, materials, config, crypto);
        }
        return new COSEncryptionClient(account, materials, config, crypto);
    }

    /** Only this provider can read objects of the KMS. It has one master key. */
    static EncryptionMaterialsProvider provider(KMSEncryptionMaterials materials) {
        return new KMSEncryptionMaterialsProvider(materials);
    }

    static void limitRetries(ClientConfig config) {
        config.setMaxErrorRetry(1);
    }

    /** Sets the sizes that encrypted uploads have to know beforehand. */
    static void setSizes(InitiateMultipartUploadRequest request, long size, long partSize) {
        request.setDataSizePartSize(size, partSize);
    }

    /** What the SDK's own client of the KMS does, but with another address. */
    private static final class Kms implements QCLOUDKMS {
        private final KmsClient client;

        Kms(String address) {
            var http = new HttpProfile();
            http.setProtocol(HttpProfile.REQ_HTTP);
            http.setEndpoint(URI.create(address).getAuthority());
            var profile = new ClientProfile();
            profile.setHttpProfile(http);
            var account = new Credential(Protocol.ACCESS_KEY, Protocol.SECRET);
            client = new KmsClient(account, "ap-guangzhou", profile);
        }

        @Override
        public GenerateDataKeyResponse generateDataKey(GenerateDataKeyRequest request) {
            return call(() -> client.GenerateDataKey(request));
        }

        @Override
        public EncryptResponse encrypt(EncryptRequest request) {
            return call(() -> client.Encrypt(request));
        }

        @Override
        public DecryptResponse decrypt(DecryptRequest request) {
            return call(() -> client.Decrypt(request));
        }

        @Override
        public void shutdown() {}

        private interface Call<T> {
            T run() throws TencentCloudSDKException;
        }

        private static <T> T call(Call<T> call) {
            try {
                return call.run();
            } catch (TencentCloudSDKException e) {
                throw new CosClientException("The KMS refused: " + e.getMessage(), e);
            }
        }
    }
}
