import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.CosFileSystem;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.FileUtil;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.IOUtils;
import org.apache.hadoop.tools.DistCp;
import org.apache.hadoop.util.ToolRunner;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.nio.file.Files;

/** The driver of hadoop-cos: Hadoop's file system interface, and DistCp. */
final class Driver implements Protocol.Handler {
    private final Tunnel tunnel;
    private final java.nio.file.Path folder;

    private Driver() throws Exception {
        folder = Files.createTempDirectory("hadoop-cos");
        Runtime.getRuntime().addShutdownHook(
                new Thread(() -> FileUtil.fullyDelete(folder.toFile())));
        tunnel = new Tunnel(folder);
    }

    public static void main(String[] arguments) throws Exception {
        String version =
                Protocol.mavenVersion(CosFileSystem.class, "com.qcloud.cos", "hadoop-cos");
        Protocol.serve("hadoop-cos", version, new Driver());
    }

    @Override
    public void write(Protocol.Request request) throws Throwable {
        if (!"gcm".equals(request.content()) || !"header".equals(request.storage())) {
            throw new Protocol.Unsupported("it writes AES/GCM with ObjectMetadata only");
        }
        if ("resumable".equals(request.how())) {
            throw new Protocol.Unsupported("a file system has no upload manager");
        }
        // It uploads a file of more than one part in parts, however it is written.
        try (FileSystem files = files(request);
                InputStream in = Files.newInputStream(request.source());
                FSDataOutputStream out = files.create(path(request, request.key()))) {
            IOUtils.copyBytes(in, out, files.getConf());
        }
    }

    @Override
    public void read(Protocol.Request request) throws Throwable {
        Path path = path(request, request.key());
        Protocol.Range range = Protocol.Range.of(request);
        try (FileSystem files = files(request);
                FSDataInputStream in = files.open(path);
                OutputStream out = Files.newOutputStream(request.target())) {
            if (range == null) {
                IOUtils.copyBytes(in, out, files.getConf());
                return;
            }
            long size = files.getFileStatus(path).getLen();
            long first = range.isSuffix() ? size - range.last() : range.first();
            long last = range.isSuffix() || range.isOpen() ? size - 1 : range.last();
            in.seek(first);
            byte[] bytes = new byte[Math.toIntExact(last - first + 1)];
            in.readFully(bytes);
            out.write(bytes);
        }
    }

    /** Does what {@code hadoop distcp FROM TO} does. */
    @Override
    public void copyTree(Protocol.Request request) throws Throwable {
        String[] arguments = {
            path(request, request.from()).toString(), path(request, request.to()).toString()
        };
        Configuration configuration = configuration(request);
        int status =
                ToolRunner.run(configuration, new DistCp(configuration, null), arguments);
        if (status != 0) {
            throw new IOException("distcp ended with status " + status);
        }
    }

    private static Path path(Protocol.Request request, String key) {
        return new Path("cosn://" + request.bucket() + "/" + key);
    }

    private FileSystem files(Protocol.Request request) throws IOException {
        URI bucket = URI.create("cosn://" + request.bucket() + "/");
        return FileSystem.newInstance(bucket, configuration(request));
    }

    private Configuration configuration(Protocol.Request request) throws IOException {
        Protocol.Master master = request.master();
        if (!"rsa".equals(master.wrap()) || master.description() != null
                || request.others() != null && !request.others().isEmpty()) {
            throw new Protocol.Unsupported("it has one RSA key without a description only");
        }
        java.nio.file.Path publicKey = folder.resolve("public.der");
        java.nio.file.Path privateKey = folder.resolve("private.der");
        Files.write(publicKey, Protocol.der(master.publicKey()));
        Files.write(privateKey, Protocol.privateDer(master.privateKey()));

        var configuration = new Configuration();
        configuration.set("fs.cosn.impl", "org.apache.hadoop.fs.CosFileSystem");
        configuration.set("fs.AbstractFileSystem.cosn.impl", "org.apache.hadoop.fs.CosN");
        configuration.set("fs.cosn.userinfo.secretId", Protocol.ACCESS_KEY);
        configuration.set("fs.cosn.userinfo.secretKey", Protocol.SECRET);
        configuration.set("fs.cosn.bucket.region", "ap-guangzhou");
        configuration.set("fs.cosn.tmp.dir", folder.resolve("buffers").toString());
        configuration.setLong("fs.cosn.upload.part.size", 1 << 20);
        configuration.setInt("fs.cosn.maxRetries", 1);
        configuration.setInt("fs.cosn.client.maxRetries", 1);
        configuration.set("fs.cosn.http.proxy.ip", "127.0.0.1");
        configuration.setInt(
                "fs.cosn.http.proxy.port", Relay.port(request.endpoint(), tunnel));
        configuration.setBoolean("fs.cosn.client-side-encryption.enabled", true);
        configuration.set(
                "fs.cosn.client-side-encryption.public.key.path", publicKey.toString());
        configuration.set(
                "fs.cosn.client-side-encryption.private.key.path", privateKey.toString());
        // For DistCp.
        configuration.set("hadoop.tmp.dir", folder.resolve("hadoop").toString());
        configuration.set("mapreduce.framework.name", "local");
        configuration.set(
                "mapreduce.jobtracker.staging.root.dir", folder.resolve("staging").toString());
        return configuration;
    }
}
