import com.aliyuncs.exceptions.ClientException;
import com.aliyuncs.http.HttpClientConfig;
import com.aliyuncs.http.HttpRequest;
import com.aliyuncs.http.HttpResponse;
import com.aliyuncs.http.clients.CompatibleUrlConnClient;

import java.io.IOException;
import java.util.HashMap;

/** An HTTP client of the KMS SDK that leaves TLS out. The SDK makes it by its name. */
public final class PlainHttp extends CompatibleUrlConnClient {
    public PlainHttp(HttpClientConfig configuration) throws ClientException {
        super(configuration);
    }

    @Override
    public HttpResponse syncInvoke(HttpRequest request) throws IOException, ClientException {
        String url = request.getSysUrl().replaceFirst("^https:", "http:");
        // The address of a request cannot be changed, so this is a copy.
        var plain = new HttpRequest(url, new HashMap<>(request.getSysHeaders()));
        plain.setSysMethod(request.getSysMethod());
        plain.setHttpContent(
                request.getHttpContent(), request.getSysEncoding(), request.getHttpContentType());
        return super.syncInvoke(plain);
    }
}
