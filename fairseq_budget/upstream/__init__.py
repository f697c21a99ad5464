"""The s3prl adapter: our encoders as upstreams of an unmodified s3prl 0.4.18.

Importing any module of this package imports neither s3prl nor torchaudio and patches nothing; only
the functions of ``compat``, and those that call them, do.
"""
