import com.qcloud.cos.COSEncryptionClient;
import com.qcloud.cos.ClientConfig;
import com.qcloud.cos.auth.COSCredentialsProvider;
import com.qcloud.cos.internal.crypto.CryptoConfiguration;
import com.qcloud.cos.internal.crypto.EncryptionMaterialsProvider;
import com.qcloud.cos.internal.crypto.KMSEncryptionMaterials;
import com.qcloud.cos.model.InitiateMultipartUploadRequest;

/** The interface of cos_api 5.4.x. */
final class Api {
    private Api() {}

    static COSEncryptionClient client(
            Protocol.Request request, COSCredentialsProvider account,
            EncryptionMaterialsProvider materials, ClientConfig config,
            CryptoConfiguration crypto) {
        return new COSEncryptionClient(account, materials, config, crypto);
    }

    static EncryptionMaterialsProvider provider(KMSEncryptionMaterials materials) {
        throw new Protocol.Unsupported("QCLOUDKMS has no methods in this version");
    }

    /** This version always tries five times. */
    static void limitRetries(ClientConfig config) {}

    /** This version does not store the sizes. */
    static void setSizes(InitiateMultipartUploadRequest request, long size, long partSize) {}
}
