import com.aliyun.oss.crypto.EncryptionMaterials;
import com.aliyun.oss.crypto.KmsEncryptionMaterials;
import com.aliyuncs.http.HttpClientFactory;
import com.aliyuncs.profile.DefaultProfile;

import java.net.URI;

/** For 3.18.4 and older. */
final class Kms {
    private static final String REGION = "cn-hangzhou";

    private Kms() {}

    static EncryptionMaterials materials(Protocol.Request request) {
        DefaultProfile.addEndpoint(REGION, "Kms", URI.create(request.kms()).getAuthority());
        // KmsEncryptionMaterials always asks for HTTPS, which the loopback KMS does not speak.
        System.setProperty(HttpClientFactory.HTTP_CLIENT_IMPL_KEY, PlainHttp.class.getName());
        Protocol.Master master = request.master();
        var materials = master.description() == null
                ? new KmsEncryptionMaterials(REGION, master.keyId())
                : new KmsEncryptionMaterials(REGION, master.keyId(), master.description());
        if (request.others() != null && !request.others().isEmpty()) {
            // addKmsDescMaterial takes a region, but no key, which the KMS finds by itself.
            throw new Protocol.Unsupported("other master keys of the KMS are regions");
        }
        return materials;
    }
}
